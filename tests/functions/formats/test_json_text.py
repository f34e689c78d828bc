"""The limits on the structure of JSON."""

import json
import time

import pytest

from pipeline.errors import RejectedError
from pipeline.formats import json_text
from pipeline.formats.json_text import MAX_DEPTH, MAX_VALUES


def code(text: str) -> str:
    with pytest.raises(RejectedError) as refused:
        json_text.parse(text)
    return refused.value.code


def test_nesting_has_a_limit() -> None:
    assert json_text.parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert code("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == "invalid_json"
    assert code('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1)) == "invalid_json"


def test_neighbours_are_not_nested() -> None:
    assert len(json_text.parse("[" + ",".join(["[[]]"] * 5 * MAX_DEPTH) + "]")) == 5 * MAX_DEPTH


def test_brackets_and_commas_in_strings_are_text() -> None:
    for text in ("[" * 2 * MAX_DEPTH, '\\"[' * 2 * MAX_DEPTH, "\\" * 5 + "{" * 2 * MAX_DEPTH, "," * (MAX_VALUES + 1)):
        assert json_text.parse(json.dumps({"instances": [text]})) == {"instances": [text]}


@pytest.mark.parametrize("unit", ["[]", "0", '""', '{"":{}}', "[[[[]]]]"])
def test_the_number_of_values_has_a_limit(unit: str) -> None:
    assert code("[" + ",".join([unit] * (MAX_VALUES + 1)) + "]") == "too_large"


@pytest.mark.parametrize("unit", ["[", "]", "[]", '"', '"\\', '""', '"",', "{", ",", "0,", ":", " ", "[[[]]],"])
def test_time_grows_with_length_alone(unit: str) -> None:
    began = time.monotonic()
    with pytest.raises(RejectedError):
        json_text.parse("[" + unit * ((8 << 20) // len(unit)))
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    "text", ['{"a": 1e999}', '{"a": [-1e400]}', r'{"a": "\ud83d"}', r'["\ud83d\ud83d\ude00"]', r'{"\udc00": 1}']
)
def test_what_no_json_can_carry_further_is_refused(text: str) -> None:
    assert code(text) == "invalid_json"


def test_escaped_pairs_and_backslashes_are_text() -> None:
    assert json_text.parse(r'["\ud83d\ude00", "\\ud83d", "\\\\ud83d"]') == ["\U0001f600", r"\ud83d", r"\\ud83d"]
