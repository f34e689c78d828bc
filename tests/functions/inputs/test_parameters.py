"""Parameters from metadata, messages and manifests: what is accepted, in which spelling, and what is refused."""

from typing import Any

import pytest

from pipeline.errors import RejectedError
from pipeline.inputs import parameters

GOOD: list[tuple[str, Any, Any]] = [
    ("horizon", "28", 28),
    ("horizon", 1000, 1000),
    ("horizon", 7.0, 7),
    ("horizon", 1e3, 1000),
    ("horizon", " 1e2 ", 100),
    ("horizon", "7.0", 7),
    ("frequency", "weekly", "weekly"),
    ("frequency", " MS ", "MS"),
    ("interval_width", "0.8", 0.8),
    ("decimal", ",", ","),
    ("date_format", "%d/%m/%Y", "%d/%m/%Y"),
    ("date_column", "Größe der Woche", "Größe der Woche"),
    ("top_k", "5", 5),
    ("aggregation", "first", "first"),
    ("labels", ["joy", "bad news"], ["joy", "bad news"]),
    ("labels", " joy, bad news ", ["joy", "bad news"]),
    ("labels", ["می\u200cخواهم", "👩\u200d🔬", "prix\u00a0?"], ["می\u200cخواهم", "👩\u200d🔬", "prix\u00a0?"]),
    ("multi_label", " True", True),
    ("multi_label", False, False),
    ("hypothesis_template", "It is about {}.", "It is about {}."),
    ("threshold", -0.0, 0.0),
    ("threshold", 1, 1.0),
    ("threshold", "5e-1", 0.5),
    ("score_columns", True, True),
    ("score_columns", "False", False),
    ("max_wait", "1h", 3600),
    ("max_wait", " 24h ", 86_400),
    ("max_wait", "1d", 86_400),
    ("max_wait", "15m", 900),
    ("max_wait", "90", 90),
    ("max_wait", 90.0, 90),
    ("max_wait", 0, 0),
]
BAD: list[tuple[str, Any]] = [
    *(
        ("horizon", value)
        for value in (0, 1001, "1.5", "", True, [], "9" * 5000, 10**5000, 2.5, "１", "+3", "1_0", -0.0)
    ),
    *(("frequency", value) for value in ("", "a b", 7, "x" * 33)),
    *(("interval_width", value) for value in ("nan", 1, "wide", True)),
    ("decimal", ";"),
    *(("aggregation", value) for value in ("last", "", 7)),
    *(
        ("labels", value)
        for value in (
            [],
            "",
            ["joy", ""],
            "joy,,bad",
            [7],
            {"a": 1},
            ["a\nb"],
            ["a\x00"],
            ["\ud800"],
            ["x" * 257],
            ["x"] * 101,
        )
    ),
    *(("multi_label", value) for value in ("yes", 1)),
    *(("hypothesis_template", value) for value in ("no place", "", 7, "{} " * 500)),
    *(("threshold", value) for value in (-0.1, 1.1, float("nan"), float("inf"), 10**400, True, "", "0x1", "nan")),
    *(("max_length", value) for value in (7, 1_000_001)),
    *(("max_wait", value) for value in (-1, 86_401, "25h", "2d", "1.5h", "1 h", "", "soon", True, "1w", 10**400)),
    *(("score_columns", value) for value in (1, 0, "yes", "")),
    *(("date_format", value) for value in ("", "x" * 65, "a\nb", 7)),
    *(("text_column", value) for value in ("", "a\x00b", "x" * 257, "\ud800")),
    *(("model", value) for value in ("", "../x", "a b", 7, {"name": "a"})),
]


@pytest.mark.parametrize(("name", "value", "checked"), GOOD, ids=str)
def test_good_values_are_converted(name: str, value: Any, checked: Any) -> None:
    assert parameters.check({name: value}) == (None, {name: checked})


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda value: "huge" if value == 10**5000 else repr(value)[:20])
def test_bad_values_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(RejectedError) as caught:
        parameters.check({name: value})
    assert caught.value.code == "invalid_parameters"
    assert caught.value.message.startswith(f"{name} must be ")
    assert len(caught.value.message) < 300


def test_metadata_keys_may_have_hyphens_and_capitals_and_other_keys_are_ignored() -> None:
    metadata = {"Date-Column": "Tag", "value_column": "Umsatz", "Model": "m", "VERSION": "3", "owner": "me"}
    model, checked = parameters.of_metadata(metadata)
    assert model == {"name": "m", "version": "3"}
    assert checked == {"date_column": "Tag", "value_column": "Umsatz"}


@pytest.mark.parametrize("key", ["Date-Colum", "text-columns", "horizons", "thresholds", "max length", "MaxLength"])
def test_a_misspelt_metadata_key_is_rejected_with_the_name_meant(key: str) -> None:
    with pytest.raises(RejectedError, match="resembles the parameter") as caught:
        parameters.of_metadata({key: "1"})
    assert caught.value.code == "invalid_parameters"


@pytest.mark.parametrize(
    "key", ["mode", "topk", "label", "date", "text", "column", "owner", "goog-reserved-file-mtime", "Größe"]
)
def test_the_user_s_own_metadata_keys_are_left_alone(key: str) -> None:
    assert parameters.of_metadata({key: "anything"}) == (None, {})


def test_an_unknown_name_is_rejected_outside_metadata_with_the_names_that_are_allowed() -> None:
    with pytest.raises(RejectedError, match="'speed' is not a parameter; use one of model, version, top_k"):
        parameters.check({"speed": 1})
    with pytest.raises(RejectedError, match=r"'topk' is not a parameter \(did you mean top_k\?\); use"):
        parameters.check({"topk": 1})


@pytest.mark.parametrize("kind", ["text", "image", "timeseries", "table", "records", "manifest"])
def test_a_parameter_that_does_not_apply_to_the_kind_is_rejected(kind: str) -> None:
    for name, parameter in parameters.PARAMETERS.items():
        model: Any = {"name": "m", "version": None} if name in ("model", "version") else None
        requested = {} if model else {name: None}
        if kind in parameter.kinds:
            parameters.check_kind(kind, model, requested)
            continue
        with pytest.raises(RejectedError, match=f"does not apply to the kind {kind}; use one of"):
            parameters.check_kind(kind, model, requested)


def test_a_record_s_parameters_are_those_of_its_instance() -> None:
    assert parameters.of_record({"top_k": 2.0, "max_length": "16"}, "text") == {"top_k": 2, "max_length": 16}
    for value in ({"max_length": 16}, {"text_column": "a"}, {"model": "m"}, [], "top_k", {"top_k": 0}):
        with pytest.raises(RejectedError, match="invalid_parameters"):
            parameters.of_record(value, "image")


@pytest.mark.parametrize("name", parameters.PARAMETERS)
def test_null_is_the_same_as_no_value(name: str) -> None:
    other = {"top_k": 2} if name != "top_k" else {"horizon": 2}
    assert parameters.check({name: None, **other}) == (None, other)
    assert parameters.of_document({"parameters": {name: None}, **other}) == (None, other)
    assert parameters.of_document({"parameters": None, "model": None, name: None}) == (None, {})
    assert parameters.of_document({"model": {"name": "m", "version": None}}) == ({"name": "m", "version": None}, {})
    if parameters.PARAMETERS[name].in_record:
        kind = "image" if "image" in parameters.PARAMETERS[name].kinds else "text"
        assert parameters.of_record({name: None, "high_confidence": 1}, kind) == {"high_confidence": 1.0}


def test_a_name_that_does_not_exist_is_refused_with_null_too() -> None:
    with pytest.raises(RejectedError, match="'topk' is not a parameter"):
        parameters.check({"topk": None})
    with pytest.raises(RejectedError, match="'topk' is not a parameter"):
        parameters.of_record({"topk": None}, "text")
