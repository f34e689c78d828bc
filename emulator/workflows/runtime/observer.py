"""The interface by which callers follow an execution step by step: step entries, current steps, `--trace`."""

from dataclasses import dataclass
from typing import Any

from emulator.workflows.runtime.http import Request, Response

IN_PROGRESS = "STATE_IN_PROGRESS"
SUCCEEDED = "STATE_SUCCEEDED"
FAILED = "STATE_FAILED"


@dataclass(slots=True, eq=False)
class StepEntry:
    """One attempt of one step; `step_type` and `state` are names of the Executions API.

    `entry_id` counts the entries of the execution from 1. `progress` is the index of an iteration, the number of an
    attempt or the name of a branch, of which `expected` are expected; `exception` is the raised value; `variables`
    are those in scope at the end, for an observer that asks for them.
    """

    entry_id: int
    routine: str
    step: str
    step_type: str
    line: int
    parent: "StepEntry | None"
    state: str = IN_PROGRESS
    exception: Any = None
    progress: int | str | None = None
    expected: int | None = None
    variables: dict[str, Any] | None = None


class Observer:
    """Called at each step's start and end. Override what you need; the methods must be quick and must not raise.

    Attributes:
        wants_variables: whether entries that have ended name the variables in scope.
    """

    wants_variables = False

    def step_started(self, entry: StepEntry) -> None:
        """The step is about to run."""

    def step_ended(self, entry: StepEntry) -> None:
        """The step has ended; `entry.state` and `entry.exception` say how."""

    def exchanged(
        self, entry: StepEntry, request: Request, response: Response | None, seconds: float, error: str
    ) -> None:
        """A step has sent an HTTP request; `error` says why there is no response, if there is none."""
