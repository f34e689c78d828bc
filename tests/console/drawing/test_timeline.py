"""The timeline shows which variables each step has changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from console.drawing import timeline
from console.pipeline.executions import Execution, Step

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def step(number: int, ended: int, variables: dict[str, Any], parent: int | None = None, routine: str = "main") -> Step:
    end = NOW + timedelta(seconds=ended)
    return Step(number, routine, f"step{number}", "call", "succeeded", NOW, end, parent=parent, variables=variables)


def bars(*steps: Step) -> dict[int, tuple[dict[str, str], list[str]]]:
    execution = Execution("e", "succeeded", NOW, NOW + timedelta(seconds=9), "", "", "", "1", True, list(steps))
    return {bar.step.number: (dict(bar.changed), bar.unchanged) for bar in timeline.bars(execution)}


def test_a_step_names_the_variables_that_it_changed() -> None:
    found = bars(step(1, 1, {"a": 1}), step(2, 2, {"a": 1, "b": [2]}), step(3, 3, {"a": 5, "b": [2]}))
    assert found == {1: ({"a": "1"}, []), 2: ({"b": "[\n  2\n]"}, ["a"]), 3: ({"a": "5"}, ["b"])}


def test_a_called_routine_has_variables_of_its_own() -> None:
    outer = {"a": 1, "answer": "x"}
    found = bars(
        step(1, 1, {"a": 1}),
        step(2, 5, outer),
        step(3, 3, {"a": 1, "url": "u"}, parent=2, routine="call"),
        step(4, 4, {"a": 1, "url": "u"}, parent=3, routine="call"),
    )
    assert found[3] == ({"a": "1", "url": '"u"'}, [])
    assert found[4] == ({}, ["a", "url"])
    assert found[2] == ({"answer": '"x"'}, ["a"])


def test_a_step_without_variables_changes_none() -> None:
    found = bars(step(1, 1, {"a": 1}), step(2, 2, {}), step(3, 3, {"a": 1}))
    assert found[2] == ({}, [])
    assert found[3] == ({}, ["a"])


def test_a_long_value_is_cut() -> None:
    text = bars(step(1, 1, {"a": "x" * 5000}))[1][0]["a"]
    assert text.endswith(" …")
    assert len(text) < 2100
