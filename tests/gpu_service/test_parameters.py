"""The parameters of a prediction: valid values, and the precedence of request, model and deployment."""

from typing import Any

import pytest

from gpu_service import parameters
from gpu_service.errors import InvalidRequest, StartError
from gpu_service.parameters import DEFAULTS, Parameters


@pytest.mark.parametrize(
    ("values", "requested"),
    [
        (None, {}),
        ({}, {}),
        ({"top_k": None}, {}),
        ({"top_k": 1.0}, {"top_k": 1}),
        ({"top_k": 1e3}, {"top_k": 1000}),
        ({"threshold": 1, "score_columns": True}, {"threshold": 1.0, "score_columns": True}),
    ],
)
def test_doubles_are_whole_numbers_and_null_is_the_default(values: dict[str, Any] | None, requested: dict[str, Any]):
    checked = parameters.parse(values)
    assert checked == requested
    assert [type(value) for value in checked.values()] == [type(value) for value in requested.values()]


def test_a_negative_zero_loses_its_sign():
    assert str(parameters.parse({"threshold": -0.0})["threshold"]) == "0.0"


BAD: list[tuple[str, Any]] = [
    *(("top_k", value) for value in (0, -1, 1001, 1.5, -0.0, 1e300, 10**400, float("nan"), "5", "", True, [5], {})),
    *(("threshold", value) for value in (-0.1, 1.1, float("nan"), float("inf"), 10**400, "0.5", True)),
    *(("max_length", value) for value in (7, 1_000_001)),
    *(("score_columns", value) for value in (1, 0.0, "true", [])),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda value: repr(value)[:20])
def test_a_bad_value_is_refused_by_name(name: str, value: Any):
    with pytest.raises(InvalidRequest, match=f"^{name} must be ") as refused:
        parameters.parse({name: value})
    assert refused.value.code == "invalid_parameters"
    assert len(refused.value.message) < 200


def test_an_unknown_name_is_refused_with_those_that_are_allowed():
    with pytest.raises(InvalidRequest, match="'horizon' is not a parameter; use one of top_k, threshold, ") as refused:
        parameters.parse({"horizon": 7})
    assert refused.value.code == "invalid_parameters"
    for value in (1, None):
        with pytest.raises(InvalidRequest, match=r"'topk' is not a parameter \(did you mean top_k\?\); use one of"):
            parameters.parse({"topk": value, "top_k": 1})


def test_a_parameter_that_applies_to_no_model_of_the_request_is_refused():
    parameters.check_tasks({"max_length": 8}, ["text-classification", "image-classification"])
    parameters.check_tasks({"max_length": 8}, [])
    with pytest.raises(InvalidRequest, match="max_length does not apply to image-classification; use one of top_k"):
        parameters.check_tasks({"max_length": 8}, ["image-classification"])


def test_the_request_precedes_the_model_and_that_the_deployment():
    deployment = parameters.of_deployment({"PARAMETERS": "top_k=7, high_confidence=0.9", "MAX_TOKENS": "64"})
    assert deployment == {"top_k": 7, "high_confidence": 0.9, "max_length": 64}
    model = parameters.of_model(deployment, "text-classification", {"top_k": 3.0}, {"requires_review": 0.2})
    assert model == Parameters(top_k=3, high_confidence=0.9, requires_review=0.2, max_length=64)
    chosen = parameters.chosen(model, parameters.parse({"top_k": 1, "high_confidence": 0}), "text-classification")
    assert chosen == Parameters(top_k=1, high_confidence=0.0, requires_review=0.2, max_length=64)
    assert parameters.of_model(parameters.of_deployment({}), "text-classification", {}, {}) == DEFAULTS


def test_a_value_of_the_deployment_may_contain_commas():
    pairs = 'labels=["a", "b=c"], hypothesis_template=In short, it is {}.,top_k=3,'
    deployment = parameters.of_deployment({"PARAMETERS": pairs, "MAX_TOKENS": "64"})
    assert deployment == {
        "labels": ["a", "b=c"],
        "hypothesis_template": "In short, it is {}.",
        "top_k": 3,
        "max_length": 64,
    }


@pytest.mark.parametrize("value", ["0", "0.0", "-0.0", "0.5", "1"])
def test_a_value_of_the_deployment_precedes_the_task_s_default_whatever_it_is(value: str):
    deployment = parameters.of_deployment({"PARAMETERS": f"threshold={value}"})
    assert parameters.of_model(deployment, "object-detection", {}, {}).threshold == float(value)
    assert parameters.of_model(deployment, "text-classification", {}, {}).threshold == float(value)
    assert parameters.of_model(deployment, "object-detection", {"threshold": 0.25}, {}).threshold == 0.25


@pytest.mark.parametrize("environ", [{}, {"PARAMETERS": "threshold=null"}, {"PARAMETERS": "top_k=3"}])
def test_without_a_value_of_the_deployment_each_task_has_its_default(environ: dict[str, str]):
    deployment = parameters.of_deployment(environ)
    assert parameters.of_model(deployment, "object-detection", {}, {}).threshold == 0.5
    assert parameters.of_model(deployment, "object-detection", {"threshold": None}, {}).threshold == 0.5
    assert parameters.of_model(deployment, "text-classification", {}, {}).threshold == 0.0


def test_no_model_reads_more_tokens_than_the_deployment_allows():
    model = parameters.of_model({"max_length": 64}, "text-classification", {"max_length": 128}, {})
    assert model.max_length == 64


def test_values_of_other_tasks_are_left_as_they_are():
    assert parameters.chosen(DEFAULTS, {"max_length": 8, "top_k": 1}, "image-classification") == Parameters(top_k=1)
    assert parameters.described(DEFAULTS, "image-classification") == {
        "top_k": 5,
        "threshold": 0.0,
        "high_confidence": 0.8,
        "requires_review": 0.6,
    }


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PARAMETERS": "topk=3"}, r"PARAMETERS: 'topk' is not a parameter \(did you mean top_k\?\)"),
        ({"PARAMETERS": "top_k"}, "PARAMETERS: top_k must be"),
        ({"PARAMETERS": "top_k=many"}, "PARAMETERS: top_k must be"),
        ({"PARAMETERS": "max_length=64"}, "PARAMETERS: 'max_length' is not a parameter"),
        ({"PARAMETERS": "score_columns=true"}, "PARAMETERS: 'score_columns' is not a parameter"),
        ({"MAX_TOKENS": "7"}, "MAX_TOKENS must be a whole number from 8 to 1000000, not 7"),
        ({"MAX_TOKENS": "all"}, "MAX_TOKENS must be"),
    ],
)
def test_a_bad_variable_ends_the_start(environ: dict[str, str], message: str):
    with pytest.raises(StartError, match=message):
        parameters.of_deployment(environ)


@pytest.mark.parametrize(
    ("task", "values", "limits", "message"),
    [
        ("text-classification", {"speed": 1}, {}, "'speed' is not a parameter; use one of top_k"),
        ("text-classification", {"high_confidence": 1}, {}, "'high_confidence' is not a parameter; use one of"),
        ("text-classification", {"score_columns": True}, {}, "'score_columns' is not a parameter; use one of"),
        ("text-classification", {}, {"top_k": 1}, "'top_k' is not a parameter; use one of high_confidence"),
        ("text-classification", {}, {"requires_review": 2}, "requires_review must be a number from 0 to 1"),
        ("image-classification", {"max_length": 8}, {}, "max_length does not apply to image-classification"),
    ],
)
def test_a_bad_default_of_a_model_ends_the_start(
    task: str, values: dict[str, Any], limits: dict[str, Any], message: str
):
    with pytest.raises(StartError, match=message):
        parameters.of_model({}, task, values, limits)
