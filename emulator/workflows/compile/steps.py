"""Compiled steps: what each does to a scope, and where execution goes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator.workflows.compile.evaluate import Code, constant, resolve
from emulator.workflows.compile.operators import boolean
from emulator.workflows.compile.targets import Assigner
from emulator.workflows.errors import RaisedError
from emulator.workflows.runtime.scope import Frame, Scope
from emulator.workflows.syntax.program import Place

YIELD_EVERY = 64


@dataclass(frozen=True, slots=True)
class Jump:
    """Go to a step of this or an enclosing list."""

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


class Operation:
    """One compiled step. `act` gives a signal, or something to await for one when `awaits`."""

    kind = "STEP_GOTO"
    awaits = False

    def __init__(self, name: str, place: Place, after: Signal) -> None:
        self.name = name
        self.place = place
        self.after = after

    def act(self, scope: Scope) -> Any:  # noqa: ARG002 - for those that need it
        """Do it; None goes on to `after`, or the next step."""
        return None


class Block:
    """A list of steps."""

    def __init__(self, operations: list[Operation], anonymous: bool = False) -> None:
        self.operations = operations
        self.index = {} if anonymous else {operation.name: at for at, operation in enumerate(operations)}
        self.awaits = any(operation.awaits for operation in operations)

    def run_now(self, scope: Scope) -> Signal:
        """Run steps none of which has to wait."""
        frame, operations, at = scope.frame, self.operations, 0
        execution = frame.execution
        while at < len(operations):
            operation = operations[at]
            execution.count_step()
            frame.step = operation.name
            entry = frame.begin(operation.name, operation.kind, operation.place) if execution.observer else None
            try:
                signal = operation.act(scope)
            except RaisedError as error:
                self._failed(frame, operation, entry, error)
                raise
            if entry is not None:
                frame.end(entry)
            signal = operation.after if signal is None else signal
            if signal is None:
                at += 1
            elif type(signal) is Jump and signal.target in self.index:
                at = self.index[signal.target]
            else:
                return signal
        return None

    async def run(self, scope: Scope) -> Signal:
        """Run the steps; give other executions a turn now and then."""
        frame, operations, at = scope.frame, self.operations, 0
        execution = frame.execution
        while at < len(operations):
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
                self._failed(frame, operation, entry, error)
                raise
            if entry is not None:
                frame.end(entry)
            signal = operation.after if signal is None else signal
            if signal is None:
                at += 1
            elif type(signal) is Jump and signal.target in self.index:
                at = self.index[signal.target]
            else:
                return signal
        return None

    def _failed(self, frame: Frame, operation: Operation, entry: Any, error: BaseException) -> None:
        if isinstance(error, RaisedError):
            frame.blame(error, operation.name, operation.place)
        frame.end(entry, error)


class AssignOperation(Operation):
    """`assign`"""

    kind = "STEP_ASSIGN"

    def __init__(self, name: str, place: Place, after: Signal, assignments: list[tuple[Assigner, Code, Place]]) -> None:
        super().__init__(name, place, after)
        self.assignments = assignments
        self.awaits = any(code.awaits or target.awaits for target, code, _ in assignments)

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
                if target.awaits:
                    value = await resolve(code, scope)
                    await target.store_later(scope, value)
                else:
                    target.store(scope, await resolve(code, scope))
            except RaisedError as error:
                scope.frame.blame(error, self.name, place)
                raise
        return None


class ReturnOperation(Operation):
    """`return`"""

    kind = "STEP_RETURN"

    def __init__(self, name: str, place: Place, after: Signal, value: Code) -> None:
        super().__init__(name, place, after)
        self.value = value
        self.awaits = value.awaits

    def act(self, scope: Scope) -> Any:
        return self._later(scope) if self.awaits else Returned(self.value.run(scope))

    async def _later(self, scope: Scope) -> Signal:
        return Returned(await self.value.run(scope))


class RaiseOperation(Operation):
    """`raise`"""

    kind = "STEP_RAISE"

    def __init__(self, name: str, place: Place, after: Signal, value: Code) -> None:
        super().__init__(name, place, after)
        self.value = value
        self.awaits = value.awaits

    def act(self, scope: Scope) -> Any:
        if self.awaits:
            return self._later(scope)
        raise RaisedError(self.value.run(scope))

    async def _later(self, scope: Scope) -> Signal:
        raise RaisedError(await self.value.run(scope))


class GroupOperation(Operation):
    """`steps`"""

    kind = "STEP_GOTO"

    def __init__(self, name: str, place: Place, after: Signal, block: Block) -> None:
        super().__init__(name, place, after)
        self.block = block
        self.awaits = block.awaits

    def act(self, scope: Scope) -> Any:
        return self.block.run(scope) if self.awaits else self.block.run_now(scope)


@dataclass(frozen=True, slots=True)
class CompiledCase:
    """One entry of a `switch`."""

    condition: Code
    block: Block
    after: Signal
    place: Place


class SwitchOperation(Operation):
    """`switch`: the first true condition wins."""

    kind = "STEP_SWITCH"

    def __init__(self, name: str, place: Place, after: Signal, cases: list[CompiledCase]) -> None:
        super().__init__(name, place, after)
        self.cases = cases
        self.awaits = any(case.condition.awaits or case.block.awaits for case in cases)

    def act(self, scope: Scope) -> Any:
        if self.awaits:
            return self._later(scope)
        for case in self.cases:
            if self._holds(scope, case, case.condition.run):
                signal = case.block.run_now(scope) if case.block.operations else None
                return case.after if signal is None else signal
        return None

    async def _later(self, scope: Scope) -> Signal:
        for case in self.cases:
            condition = case.condition
            if condition.awaits:
                condition = constant(await condition.run(scope))
            if self._holds(scope, case, condition.run):
                signal = await case.block.run(scope)
                return case.after if signal is None else signal
        return None

    def _holds(self, scope: Scope, case: CompiledCase, condition: Callable[[Scope], Any]) -> bool:
        entry = scope.frame.begin(self.name, "STEP_CONDITION", case.place)
        try:
            return boolean(condition(scope), "condition")
        except RaisedError as error:
            scope.frame.blame(error, self.name, case.place)
            raise
        finally:
            scope.frame.end(entry)
