"""How an execution ended, and how its failure or that of a branch is reported."""

from dataclasses import dataclass
from typing import Any

from emulator.workflows.errors import ExecutionError, RaisedError
from emulator.workflows.values import safe_json


@dataclass(slots=True)
class Outcome:
    """How an execution ended. `state` is SUCCEEDED, FAILED or CANCELLED; `result` can be JSON-encoded."""

    state: str
    result: Any = None
    error: ExecutionError | None = None


def execution_error(error: RaisedError) -> ExecutionError:
    """The error of an execution that nothing caught."""
    return ExecutionError(safe_json(error.value), _context(_summary(error), error), list(error.stack_trace))


def branch_context(error: RaisedError) -> str:
    """The context of a failed branch: the service has one summary for all of them."""
    return _context('RuntimeError: "branch error"', error)


def _context(summary: str, error: RaisedError) -> str:
    """The summary, then the steps that the error passed, innermost first."""
    steps = [f'in step "{at.step}", routine "{at.routine}", line: {at.line}' for at in error.stack_trace]
    return "\n".join([summary, *steps])


def _summary(error: RaisedError) -> str:
    value = error.value
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        return str(value["message"])
    return f"RuntimeError: {safe_json(value)}"
