"""Errors: of a deployment (`WorkflowSyntaxError`) and of a running execution (`RaisedError`).

Exception
├── WorkflowSyntaxError       the source cannot be deployed; has every problem with its place
└── RaisedError               a value raised at run time: exactly what `except: as: e` sees
    └── LimitError            a limit of the service was exceeded: no `except` catches it
"""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a source cannot be deployed, with its place (1-based line and column)."""

    message: str
    line: int
    column: int
    file: str = "workflow.yaml"
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class WorkflowSyntaxError(Exception):
    """The source is refused at deployment; `problems` lists every reason, `message` is the first."""

    def __init__(
        self,
        message: str,
        file: str = "workflow.yaml",
        line: int = 1,
        column: int = 1,
        problems: list[Problem] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.problems = problems or [Problem(message, line, column, file)]

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


@dataclass(frozen=True, slots=True)
class StackTraceElement:
    """The step that was running in one call of a routine."""

    step: str
    routine: str
    line: int
    column: int
    length: int


@dataclass(frozen=True, slots=True)
class ExecutionError:
    """Why an execution failed, as the Executions API reports it."""

    payload: str
    context: str
    stack_trace: list[StackTraceElement] = field(default_factory=list)

    @property
    def value(self) -> Any:
        """The raised value itself."""
        return json.loads(self.payload)


class RaisedError(Exception):
    """A raised value, with the steps that it has passed; `blamed_in` is the call whose step was added last."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value
        self.stack_trace: list[StackTraceElement] = []
        self.blamed_in: object = None


class LimitError(RaisedError):
    """A limit of the service was exceeded: the execution fails, no `except` catches it."""


_ANCESTORS = {
    "ConnectionError": ["OSError"],
    "ConnectionFailedError": ["OSError"],
    "IndexError": ["LookupError"],
    "KeyError": ["LookupError"],
    "RecursionError": ["RuntimeError"],
    "TimeoutError": ["OSError"],
    "ParallelNestingError": ["RuntimeError"],
    "UnhandledBranchError": ["RuntimeError"],
    "ZeroDivisionError": ["ArithmeticError"],
}


def error_map(tag: str, message: str, **details: Any) -> dict[str, Any]:
    """The map that `except` receives for an error that the service raises."""
    return {**details, "message": f"{tag}: {message}", "tags": [tag, *_ANCESTORS.get(tag, ())]}


def failure(tag: str, message: str, **details: Any) -> RaisedError:
    """An error that the service raises, by its tag."""
    return RaisedError(error_map(tag, message, **details))


def type_error(message: str) -> RaisedError:
    """An operand or argument has the wrong type."""
    return failure("TypeError", message)


def value_error(message: str) -> RaisedError:
    """An argument has the right type but an invalid value."""
    return failure("ValueError", message)


def key_error(key: object) -> RaisedError:
    """A map has no such key."""
    return failure("KeyError", f"key not found: {key}")


def index_error(index: int, length: int) -> RaisedError:
    """A list has no such element."""
    return failure("IndexError", f"index out of range: {index} (the list has {length} elements)")


def limit_error(message: str) -> LimitError:
    """A limit of the service was exceeded; the message names it."""
    return LimitError(error_map("ResourceLimitError", message))
