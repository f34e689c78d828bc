"""How a failed execution, or branch, is reported."""

from __future__ import annotations

from .errors import ExecutionError, RaisedError
from .values import error_context, safe_json


def context(error: RaisedError) -> str:
    """The message, then the steps that the error passed, innermost first."""
    frames = [f'in step "{frame.step}", routine "{frame.routine}", line: {frame.line}' for frame in error.frames]
    return "\n".join([error_context(error), *frames])


def execution_error(error: RaisedError) -> ExecutionError:
    """The error of an execution that nothing caught."""
    return ExecutionError(safe_json(error.value), context(error), list(error.frames))
