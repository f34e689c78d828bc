"""How a caller follows an execution step by step: step entries, current steps, `--trace`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

IN_PROGRESS = "STATE_IN_PROGRESS"
SUCCEEDED = "STATE_SUCCEEDED"
FAILED = "STATE_FAILED"


@dataclass(slots=True, eq=False)
class StepEntry:
    """One attempt of one step; `step_type` and `state` carry the names of the Executions API.

    `entry_id` grows with every entry of the execution, beginning at 1. `progress` is the iteration's
    index (for iterations), the attempt (for tries) or the branch's name; `exception` is the raised value.
    """

    entry_id: int
    routine: str
    step: str
    step_type: str
    line: int
    parent: StepEntry | None
    state: str = IN_PROGRESS
    exception: Any = None
    progress: int | str | None = None
    expected: int | None = None


class Observer:
    """Called at each step's start and end; override what you need. Must be quick and must not raise."""

    def step_started(self, entry: StepEntry) -> None:
        """The step is about to run."""

    def step_ended(self, entry: StepEntry) -> None:
        """The step has ended; `entry.state` and `entry.exception` say how."""
