"""Compiled steps: what each does to a scope, and where execution goes next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .errors import RaisedError, type_error
from .evaluate import Code, resolve
from .operators import boolean
from .program import Place
from .scope import Frame, Scope
from .targets import Assigner
from .values import is_number, shown_type

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

    def act(self, scope: Scope) -> Any:
        """Do it; None goes on to `after`, or the next step."""
        return None


class Block:
    """A list of steps."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        self.index = {operation.name: at for at, operation in enumerate(operations)}
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
                return signal  # type: ignore[no-any-return]
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
                return signal  # type: ignore[no-any-return]
        return None

    def _failed(self, frame: Frame, operation: Operation, entry: Any, error: BaseException) -> None:
        if isinstance(error, RaisedError):
            frame.blame(error, operation.name, operation.place)
        frame.end(entry, error)


async def run_block(block: Block, scope: Scope) -> Signal:
    """Run a block the cheapest way."""
    return await block.run(scope) if block.awaits else block.run_now(scope)


class AssignOperation(Operation):
    """`assign`"""

    kind = "STEP_ASSIGN"

    def __init__(
        self, name: str, place: Place, after: Signal, assignments: list[tuple[Assigner, Code, Place]]
    ) -> None:
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
        raise raised(self.value.run(scope))

    async def _later(self, scope: Scope) -> Signal:
        raise raised(await self.value.run(scope))


def raised(value: Any) -> RaisedError:
    """The error of `raise`: a string or a map."""
    if type(value) in (str, dict):
        return RaisedError(value)
    return type_error(f"raise takes a string or a map, got {shown_type(value)}")


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
            value = await resolve(case.condition, scope) if case.condition.awaits else None
            if self._holds(scope, case, (lambda _s, v=value: v) if case.condition.awaits else case.condition.run):
                signal = await run_block(case.block, scope)
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


@dataclass(frozen=True, slots=True)
class CompiledLoop:
    """The inside of a `for`."""

    value: str
    index: str | None
    items: Code | None
    start: Code | None
    end: Code | None
    block: Block

    async def elements(self, scope: Scope) -> list[Any] | range:
        """What to iterate over."""
        if self.items is not None:
            items = await resolve(self.items, scope)
            if type(items) is not list:
                hint = "; iterate over keys(map)" if type(items) is dict else ""
                raise type_error(f"'in' of a for loop must be a list, got {shown_type(items)}{hint}")
            return items
        if self.start is None:
            return []
        start = await resolve(self.start, scope)
        if self.end is not None:
            return _numbers(start, await resolve(self.end, scope))
        if type(start) is not list or len(start) != 2:
            raise type_error("'range' of a for loop must be a list of two numbers")
        return _numbers(start[0], start[1])


def _numbers(start: Any, end: Any) -> list[Any] | range:
    """From start to end, both included, by steps of 1."""
    for bound in (start, end):
        if not is_number(bound):
            raise type_error(f"'range' of a for loop takes numbers, got {shown_type(bound)}")
    if type(start) is int and type(end) is int:
        return range(start, end + 1)
    count = int(end - start) + 1 if end >= start else 0
    return _Doubles(float(start), count)


class _Doubles(list[Any]):
    """Doubles that are made one at a time: a range may be longer than memory."""

    def __init__(self, start: float, count: int) -> None:
        super().__init__()
        self.start = start
        self.count = count

    def __iter__(self) -> Any:
        return (self.start + at for at in range(self.count))

    def __len__(self) -> int:
        return self.count


class ForOperation(Operation):
    """`for`"""

    kind = "STEP_FOR"
    awaits = True

    def __init__(self, name: str, place: Place, after: Signal, loop: CompiledLoop) -> None:
        super().__init__(name, place, after)
        self.loop = loop

    async def act(self, scope: Scope) -> Signal:
        loop, block, frame = self.loop, self.loop.block, scope.frame
        inner = Scope(frame, scope)
        execution = frame.execution
        try:
            for index, value in enumerate(await loop.elements(scope)):
                inner.declare(loop.value, value)
                if loop.index is not None:
                    inner.declare(loop.index, index)
                entry = frame.begin(self.name, "STEP_FOR_ITERATION", self.place, index)
                try:
                    signal = await block.run(inner) if block.awaits else block.run_now(inner)
                except (RaisedError, asyncio.CancelledError) as error:
                    frame.end(entry, error)
                    raise
                frame.end(entry)
                if signal is BREAK:
                    return None
                if signal is not None and signal is not CONTINUE:
                    return signal
                if not block.awaits and index % YIELD_EVERY == 0 and execution.steps:
                    await asyncio.sleep(0)
        finally:
            inner.drop()
        return None


Perform = Callable[[Scope, dict[str, Any]], Awaitable[Any]]


class CallOperation(Operation):
    """`call` of something that may have to wait: a subworkflow, a blocking function, a connector."""

    kind = "STEP_CALL"
    awaits = True

    def __init__(
        self, name: str, place: Place, after: Signal, function: str, perform: Perform, arguments: Code, result: str | None
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
        self, name: str, place: Place, after: Signal, call: Callable[[Scope, dict[str, Any]], Any], arguments: Code, result: str | None
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
