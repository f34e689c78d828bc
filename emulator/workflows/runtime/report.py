"""How a failed execution, or branch, is reported."""

from __future__ import annotations

from emulator.workflows.errors import ExecutionError, RaisedError
from emulator.workflows.values import error_context, safe_json


def context(error: RaisedError) -> str:
    """The message, then the steps that the error passed, innermost first."""
    return "\n".join([error_context(error), *_steps(error)])


def branch_context(error: RaisedError) -> str:
    """The same for a branch: the service has one message for all of them, the payload tells more."""
    return "\n".join(['RuntimeError: "branch error"', *_steps(error)])


def _steps(error: RaisedError) -> list[str]:
    return [f'in step "{frame.step}", routine "{frame.routine}", line: {frame.line}' for frame in error.frames]


def execution_error(error: RaisedError) -> ExecutionError:
    """The error of an execution that nothing caught."""
    return ExecutionError(safe_json(error.value), context(error), list(error.frames))
