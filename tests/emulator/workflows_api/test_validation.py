import json

import pytest

from emulator.googleapi.errors import InvalidArgumentError
from emulator.workflows_api import validation


@pytest.mark.parametrize("text", ["a", "Z9", "my-work_flow1", "a" * 64])
def test_workflow_ids(text):
    assert validation.workflow_id(text) == text


@pytest.mark.parametrize("text", ["", "1a", "-a", "a-", "a_", "a" * 65, "a b", "ä"])
def test_invalid_workflow_ids(text):
    with pytest.raises(InvalidArgumentError):
        validation.workflow_id(text)


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"a": ""},
        {"job-1_x": "2026-01-01"},
        {"größe": "日本"},
        {f"k{i}": "v" for i in range(64)},
        {"k" * 63: "v" * 63},
    ],
)
def test_labels(labels):
    assert validation.labels(labels, "labels") == labels


@pytest.mark.parametrize(
    "labels",
    [
        {"": "v"},
        {"A": "v"},
        {"1a": "v"},
        {"_a": "v"},
        {"a": "V"},
        {"a": "x y"},
        {"a.b": "v"},
        {"k" * 64: "v"},
        {"k": "v" * 64},
        {f"k{i}": "v" for i in range(65)},
    ],
)
def test_invalid_labels(labels):
    with pytest.raises(InvalidArgumentError):
        validation.labels(labels, "labels")


def test_an_argument_of_exactly_32_kb_passes_and_one_byte_more_does_not():
    text = json.dumps("x" * (32 * 1024 - 2))
    assert validation.argument(text) == text
    with pytest.raises(InvalidArgumentError, match="32769 bytes"):
        validation.argument(text[:-1] + 'x"')


def test_the_argument_limit_counts_bytes_not_characters():
    with pytest.raises(InvalidArgumentError, match="bytes"):
        validation.argument('"' + "€" * 11_000 + '"')


@pytest.mark.parametrize("text", ["{", "{'a': 1}", "NaN", "[Infinity]", "1 2", "[" * 20_000])
def test_arguments_that_are_not_json(text):
    with pytest.raises(InvalidArgumentError, match="not valid JSON"):
        validation.argument(text)


def test_missing_argument_is_null():
    assert validation.argument("") == "null"


@pytest.mark.parametrize(
    "env",
    [
        {"": "x"},
        {"GOOGLE_X": "x"},
        {"WORKFLOWS_X": "x"},
        {"A": "x" * 4097},
        {f"A{i}": "x" for i in range(21)},
    ],
)
def test_invalid_environment_variables(env):
    with pytest.raises(InvalidArgumentError):
        validation.env_vars(env)


def test_environment_variables_up_to_the_limits():
    env = {f"A{i}": "x" * 4096 for i in range(20)}
    assert validation.env_vars(env) == env
