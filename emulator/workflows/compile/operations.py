"""Operations (compiled steps): what each does to a scope, and where execution continues."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator.workflows.compile.assignment import Assigner
from emulator.workflows.compile.expressions import Code, constant, resolve
from emulator.workflows.compile.operators import boolean
from emulator.workflows.errors import RaisedError
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.syntax.steps import Place

YIELD_EVERY = 64


@dataclass(frozen=True, slots=True)
class Jump:
    """Continue with a step of this or an enclosing list."""

    target: str


@dataclass(frozen=True, slots=True)
class Returned:
    """Leave the routine with a value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Leave:
    """`break` or `continue`"""

    word: str


BREAK = Leave("break")
CONTINUE = Leave("continue")
END = Returned(None)
Signal = Jump | Returned | Leave | None


@dataclass(eq=False)
class Operation:
    """One compiled step. `act` returns a signal, or an awaitable of one when `awaits`."""

    name: str
    place: Place
    after: Signal
    kind = "STEP_GOTO"
    awaits = False

    def act(self, scope: Scope) -> Any:  # noqa: ARG002 - for subclasses
        """Execute the step; None continues with `after`, or else the next step."""
        return None


class Block:
    """A list of operations.

    `run` and `run_now` are the same loop, with and without awaiting; shared code would slow down each step.
    """

    def __init__(self, operations: list[Operation], anonymous: bool = False) -> None:
        self.operations = operations
        self.index = {} if anonymous else {operation.name: at for at, operation in enumerate(operations)}
        self.awaits = any(operation.awaits for operation in operations)

    def run_now(self, scope: Scope) -> Signal:
        """Run operations none of which awaits."""
        frame, operations, at = scope.frame, self.operations, 0
        execution, count = frame.execution, len(operations)
        while at < count:
            operation = operations[at]
            execution.count_step()
            frame.step = operation.name
            entry = frame.begin(operation.name, operation.kind, operation.place) if execution.observer else None
            try:
                signal = operation.act(scope)
            except RaisedError as error:
                self._failed(scope, operation, entry, error)
                raise
            if entry is not None:
                frame.end(entry, scope.visible)
            signal = operation.after if signal is None else signal
            if signal is None:
                at += 1
            elif type(signal) is Jump and signal.target in self.index:
                at = self.index[signal.target]
            else:
                return signal
        return None

    async def run(self, scope: Scope) -> Signal:
        """Run the operations, and yield to other executions regularly."""
        frame, operations, at = scope.frame, self.operations, 0
        execution, count = frame.execution, len(operations)
        while at < count:
            operation = operations[at]
            execution.count_step()
            if execution.steps % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            frame.step = operation.name
            entry = frame.begin(operation.name, operation.kind, operation.place) if execution.observer else None
            try:
                signal = operation.act(scope)
                if operation.awaits:
                    signal = await signal
            except (RaisedError, asyncio.CancelledError) as error:
                self._failed(scope, operation, entry, error)
                raise
            if entry is not None:
                frame.end(entry, scope.visible)
            signal = operation.after if signal is None else signal
            if signal is None:
                at += 1
            elif type(signal) is Jump and signal.target in self.index:
                at = self.index[signal.target]
            else:
                return signal
        return None

    def _failed(self, scope: Scope, operation: Operation, entry: Any, error: BaseException) -> None:
        if isinstance(error, RaisedError):
            scope.frame.blame(error, operation.name, operation.place)
        scope.frame.end(entry, scope.visible, error)


@dataclass(eq=False)
class AssignOperation(Operation):
    """`assign`"""

    assignments: list[tuple[Assigner, Code, Place]]
    kind = "STEP_ASSIGN"

    def __post_init__(self) -> None:
        self.awaits = any(code.awaits or target.awaits for target, code, _ in self.assignments)

    def act(self, scope: Scope) -> Any:
        if self.awaits:
            return self._later(scope)
        for target, code, place in self.assignments:
            try:
                target.store(scope, code.run(scope))
            except RaisedError as error:
                scope.frame.blame(error, self.name, place)
                raise
        return None

    async def _later(self, scope: Scope) -> Signal:
        for target, code, place in self.assignments:
            try:
                await target.store_later(scope, await resolve(code, scope))
            except RaisedError as error:
                scope.frame.blame(error, self.name, place)
                raise
        return None


@dataclass(eq=False)
class ReturnOperation(Operation):
    """`return`"""

    value: Code
    kind = "STEP_RETURN"

    def __post_init__(self) -> None:
        self.awaits = self.value.awaits

    def act(self, scope: Scope) -> Any:
        return self._later(scope) if self.awaits else Returned(self.value.run(scope))

    async def _later(self, scope: Scope) -> Signal:
        return Returned(await self.value.run(scope))


@dataclass(eq=False)
class RaiseOperation(Operation):
    """`raise`"""

    value: Code
    kind = "STEP_RAISE"

    def __post_init__(self) -> None:
        self.awaits = self.value.awaits

    def act(self, scope: Scope) -> Any:
        if self.awaits:
            return self._later(scope)
        raise RaisedError(self.value.run(scope))

    async def _later(self, scope: Scope) -> Signal:
        raise RaisedError(await self.value.run(scope))


@dataclass(eq=False)
class GroupOperation(Operation):
    """`steps`"""

    block: Block
    kind = "STEP_GOTO"

    def __post_init__(self) -> None:
        self.awaits = self.block.awaits

    def act(self, scope: Scope) -> Any:
        return self.block.run(scope) if self.awaits else self.block.run_now(scope)


@dataclass(frozen=True, slots=True)
class CompiledCase:
    """One entry of a `switch`."""

    condition: Code
    block: Block
    after: Signal
    place: Place


@dataclass(eq=False)
class SwitchOperation(Operation):
    """`switch`: only the first case whose condition is true applies."""

    cases: list[CompiledCase]
    kind = "STEP_SWITCH"

    def __post_init__(self) -> None:
        self.awaits = any(case.condition.awaits or case.block.awaits for case in self.cases)

    def act(self, scope: Scope) -> Any:
        if self.awaits:
            return self._later(scope)
        for case in self.cases:
            if self._is_true(scope, case, case.condition.run):
                signal = case.block.run_now(scope) if case.block.operations else None
                return case.after if signal is None else signal
        return None

    async def _later(self, scope: Scope) -> Signal:
        for case in self.cases:
            condition = case.condition
            if condition.awaits:
                condition = constant(await condition.run(scope))
            if self._is_true(scope, case, condition.run):
                signal = await case.block.run(scope)
                return case.after if signal is None else signal
        return None

    def _is_true(self, scope: Scope, case: CompiledCase, condition: Callable[[Scope], Any]) -> bool:
        entry = scope.frame.begin(self.name, "STEP_CONDITION", case.place)
        try:
            return boolean(condition(scope), "condition")
        except RaisedError as error:
            scope.frame.blame(error, self.name, case.place)
            raise
        finally:
            scope.frame.end(entry, scope.visible)
