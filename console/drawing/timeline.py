"""The steps of an execution as rows of a timeline, the important ones first of all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.pipeline.executions import Execution, Step

WIDTH = 1000  # of the drawing's coordinates; the page scales it
_SHORT_S = 0.02  # steps that took less are not important unless they failed or called something
_SHOWN = 20_000  # characters of a body


@dataclass(frozen=True, slots=True)
class Bar:
    """A step with its place on the time axis, from 0 to `WIDTH`."""

    step: Step
    left: float
    width: float
    calls: list[dict[str, Any]]

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
    return [Bar(step, *_place(step, began, whole), step.calls) for step in chosen]


def is_important(step: Step) -> bool:
    if step.calls or step.failed or (step.attempt or 0) > 1:
        return True
    return step.kind in ("call", "for", "parallel", "parallel for") and step.seconds >= _SHORT_S


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
