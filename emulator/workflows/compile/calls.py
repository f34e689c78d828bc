"""`call`: subworkflows, library functions, connectors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from emulator.workflows.compile.expressions import Code, resolve
from emulator.workflows.compile.operations import Operation, Signal
from emulator.workflows.errors import RaisedError, type_error
from emulator.workflows.library.builtin import Builtin, Kind
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.values import shown_type


@dataclass(eq=False)
class CallOperation(Operation):
    """`call` of a function that may wait: a subworkflow, a blocking function, a connector."""

    function: str
    call: Callable[[Scope, dict[str, Any]], Awaitable[Any]]
    arguments: Code
    result: str | None
    kind = "STEP_CALL"
    awaits = True

    async def act(self, scope: Scope) -> Signal:
        arguments = _map(await resolve(self.arguments, scope))
        level = scope.frame.execution.runtime.call_log_level
        try:
            value = await self.call(scope, arguments)
        except RaisedError as error:
            if level in ("LOG_ALL_CALLS", "LOG_ERRORS_ONLY"):
                self._log(scope, "ERROR", {"call": self.function, "exception": error.value})
            raise
        if level == "LOG_ALL_CALLS":
            self._log(scope, "INFO", {"call": self.function, "succeeded": True})
        if self.result is not None:
            scope.assign(self.result, value)
        return None

    def _log(self, scope: Scope, severity: str, content: dict[str, Any]) -> None:
        frame = scope.frame
        frame.step = self.name
        frame.execution.log(frame, severity, content, "call")


@dataclass(eq=False)
class ImmediateCallOperation(Operation):
    """`call` of a function that never waits."""

    call: Callable[[Scope, dict[str, Any]], Any]
    arguments: Code
    result: str | None
    kind = "STEP_CALL"

    def act(self, scope: Scope) -> Any:
        value = self.call(scope, _map(self.arguments.run(scope)))
        if self.result is not None:
            scope.assign(self.result, value)
        return None


def _map(arguments: Any) -> dict[str, Any]:
    if type(arguments) is not dict:
        raise type_error(f"'args' must be a map, got {shown_type(arguments)}")
    return arguments


def immediate(builtin: Builtin, *, checked: bool) -> Callable[[Scope, dict[str, Any]], Any]:
    """The call of a function that never waits; `checked` tells that the deployment checked the arguments' names."""
    function, contextual = builtin.call, builtin.kind is Kind.CONTEXTUAL

    def call(scope: Scope, arguments: dict[str, Any]) -> Any:
        if not checked:
            builtin.check_names(arguments)
        builtin.check_types(arguments)
        return function(scope.frame.execution, **arguments) if contextual else function(**arguments)

    return call


def awaited(builtin: Builtin, *, checked: bool) -> Callable[[Scope, dict[str, Any]], Awaitable[Any]]:
    """The call of any function, as a coroutine function."""
    function, blocking, without_waiting = (
        builtin.call,
        builtin.kind is Kind.BLOCKING,
        immediate(builtin, checked=checked),
    )

    async def call(scope: Scope, arguments: dict[str, Any]) -> Any:
        if not blocking:
            return without_waiting(scope, arguments)
        if not checked:
            builtin.check_names(arguments)
        builtin.check_types(arguments)
        return await function(scope.frame, **arguments)

    return call
