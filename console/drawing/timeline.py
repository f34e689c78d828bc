"""The steps of an execution as rows of a timeline, the important ones first of all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.pipeline.executions import Execution, Step

WIDTH = 1000  # of the drawing's coordinates; the page scales it
_SHORT_S = 0.02  # steps that took less are not important unless they failed or called something
_SHOWN = 20_000  # characters of a body
_VARIABLE = 2_000  # and of a variable


@dataclass(frozen=True, slots=True)
class Bar:
    """A step with its place on the time axis, from 0 to `WIDTH`.

    `changed` are the variables that differ from those at the end of the bar before, as JSON texts; `unchanged` are the
    names of the others in scope.
    """

    step: Step
    left: float
    width: float
    calls: list[dict[str, Any]]
    changed: list[tuple[str, str]]
    unchanged: list[str]

    @property
    def attempts(self) -> str:
        return f"attempt {self.step.attempt}" if self.step.attempt and self.step.attempt > 1 else ""


def attach(steps: Sequence[Step], calls: Sequence[dict[str, Any]]) -> None:
    """Give each step the calls that it made."""
    by_number = {step.number: step for step in steps}
    for call in calls:
        if step := by_number.get(call["entry"]):
            step.calls.append({**call, "request": _body(call["request"]), "response": _body(call["response"])})


def bars(execution: Execution, *, everything: bool = False) -> list[Bar]:
    """The rows of the timeline; without `everything`, only steps that took time, called something or failed."""
    steps = execution.steps
    if not steps:
        return []
    began = min(step.started for step in steps)
    ended = max([step.ended for step in steps] + ([execution.ended] if execution.ended else []))
    whole = max((ended - began).total_seconds(), 1e-6)
    chosen = [step for step in steps if everything or is_important(step)]
    before = _variables_before(chosen, {step.number: step for step in steps})
    return [Bar(step, *_place(step, began, whole), step.calls, *_variables(step, before)) for step in chosen]


def is_important(step: Step) -> bool:
    if step.calls or step.failed or (step.attempt or 0) > 1:
        return True
    return step.kind in ("call", "for", "parallel", "parallel for") and step.seconds >= _SHORT_S


def _variables_before(chosen: Sequence[Step], steps: Mapping[int, Step]) -> dict[int, dict[str, Any]]:
    """For each step, the variables at the end of the last one that ended before it in the same call of a routine."""
    before: dict[int, dict[str, Any]] = {}
    latest: dict[int | None, dict[str, Any]] = {}
    for step in sorted(chosen, key=lambda step: (step.ended, -step.number)):
        call = _caller(step, steps)
        before[step.number] = latest.get(call, {})
        if step.variables:
            latest[call] = step.variables
    return before


def _caller(step: Step, steps: Mapping[int, Step]) -> int | None:
    """The number of the step that called the routine of a step; None in the main routine."""
    outer = steps.get(step.parent or 0)
    while outer is not None and outer.routine == step.routine:
        outer = steps.get(outer.parent or 0)
    return None if outer is None else outer.number


def _variables(step: Step, before: Mapping[int, dict[str, Any]]) -> tuple[list[tuple[str, str]], list[str]]:
    earlier = before[step.number]
    same = [name for name, value in step.variables.items() if name in earlier and earlier[name] == value]
    changed = [(name, _text(value)) for name, value in step.variables.items() if name not in same]
    return changed, same


def _text(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= _VARIABLE else f"{text[:_VARIABLE]} …"


def _place(step: Step, began: datetime, whole: float) -> tuple[float, float]:
    left = (step.started - began).total_seconds() / whole * WIDTH
    return round(left, 1), round(max(step.seconds / whole * WIDTH, 3), 1)


def _body(body: dict[str, Any]) -> dict[str, Any]:
    text = pretty(body["json"]) if body["json"] is not None else body["text"]
    return {"bytes": body["bytes"], "text": text[:_SHOWN], "cut": body["truncated"] or len(text) > _SHOWN}


def pretty(value: Any) -> str:
    """JSON for people; a JSON text is read first, and any other text stays as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
    return json.dumps(value, indent=2, ensure_ascii=False)
