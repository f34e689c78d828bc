"""Parameters from metadata, messages and manifests: what is accepted, in which spelling, and what is refused."""

from typing import Any

import pytest

from pipeline.errors import RejectedError
from pipeline.inputs import parameters

GOOD: list[tuple[str, Any, Any]] = [
    ("horizon", "28", 28),
    ("horizon", 1000, 1000),
    ("frequency", "weekly", "weekly"),
    ("frequency", " MS ", "MS"),
    ("interval_width", "0.8", 0.8),
    ("decimal", ",", ","),
    ("date_format", "%d/%m/%Y", "%d/%m/%Y"),
    ("date_column", "Größe der Woche", "Größe der Woche"),
    ("top_k", "5", 5),
    ("aggregation", "first", "first"),
    ("threshold", "0.25", 0.25),
    ("threshold", 1, 1.0),
    ("labels", ["joy", "bad news"], ["joy", "bad news"]),
    ("labels", " joy, bad news ", ["joy", "bad news"]),
    ("multi_label", " True", True),
    ("multi_label", False, False),
    ("hypothesis_template", "It is about {}.", "It is about {}."),
]
BAD: list[tuple[str, Any]] = [
    *(("horizon", value) for value in (0, 1001, "1.5", "", None, True, [], "9" * 5000, 2.0)),
    *(("frequency", value) for value in ("", "a b", 7, "x" * 33)),
    *(("interval_width", value) for value in ("nan", 1, "wide", None, True)),
    ("decimal", ";"),
    *(("aggregation", value) for value in ("last", "", 7)),
    *(("threshold", value) for value in (1.5, -0.1, "nan", True)),
    *(("labels", value) for value in ([], "", ["joy", ""], "joy,,bad", [7], {"a": 1}, ["x" * 257], ["x"] * 101)),
    *(("multi_label", value) for value in ("yes", 1, None)),
    *(("hypothesis_template", value) for value in ("no place", "", 7, "{} " * 500)),
    *(("date_format", value) for value in ("", "x" * 65, "a\nb", 7)),
    *(("text_column", value) for value in ("", "a\x00b", "x" * 257, "\ud800")),
    *(("model", value) for value in ("", "../x", "a b", 7, {"name": "a"})),
]


@pytest.mark.parametrize(("name", "value", "checked"), GOOD, ids=str)
def test_good_values_are_converted(name: str, value: Any, checked: Any) -> None:
    assert parameters.check({name: value}) == (None, {name: checked})


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda value: repr(value)[:20])
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


def test_an_unknown_name_is_rejected_outside_metadata() -> None:
    with pytest.raises(RejectedError, match="'speed' is not a parameter"):
        parameters.check({"speed": 1})
