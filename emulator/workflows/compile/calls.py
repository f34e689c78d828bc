"""`call`: subworkflows, library functions, connectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from emulator.workflows.compile.evaluate import Code, resolve
from emulator.workflows.compile.steps import Operation, Signal
from emulator.workflows.errors import RaisedError, type_error
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.syntax.program import Place
from emulator.workflows.values import shown_type

Perform = Callable[[Scope, dict[str, Any]], Awaitable[Any]]


class CallOperation(Operation):
    """`call` of something that may have to wait: a subworkflow, a blocking function, a connector."""

    kind = "STEP_CALL"
    awaits = True

    def __init__(
        self,
        name: str,
        place: Place,
        after: Signal,
        function: str,
        perform: Perform,
        arguments: Code,
        result: str | None,
    ) -> None:
        super().__init__(name, place, after)
        self.function = function
        self.perform = perform
        self.arguments = arguments
        self.result = result

    async def act(self, scope: Scope) -> Signal:
        arguments = await resolve(self.arguments, scope)
        if type(arguments) is not dict:
            raise type_error(f"'args' must be a map, got {shown_type(arguments)}")
        level = scope.frame.execution.runtime.call_log_level
        try:
            value = await self.perform(scope, arguments)
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


class PureCallOperation(Operation):
    """`call` of a function that never waits."""

    kind = "STEP_CALL"

    def __init__(
        self,
        name: str,
        place: Place,
        after: Signal,
        call: Callable[[Scope, dict[str, Any]], Any],
        arguments: Code,
        result: str | None,
    ) -> None:
        super().__init__(name, place, after)
        self.call = call
        self.arguments = arguments
        self.result = result

    def act(self, scope: Scope) -> Any:
        arguments = self.arguments.run(scope)
        if type(arguments) is not dict:
            raise type_error(f"'args' must be a map, got {shown_type(arguments)}")
        value = self.call(scope, arguments)
        if self.result is not None:
            scope.assign(self.result, value)
        return None
