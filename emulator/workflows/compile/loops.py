"""`for` loops: their elements and iterations."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emulator.workflows.compile.expressions import Code, resolve
from emulator.workflows.compile.operations import BREAK, CONTINUE, YIELD_EVERY, Block, Operation, Signal
from emulator.workflows.errors import RaisedError, type_error
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.values import is_number, shown_type


@dataclass(frozen=True, slots=True)
class CompiledLoop:
    """A loop, sequential or parallel."""

    value: str
    index: str | None
    items: Code | None
    start: Code | None
    end: Code | None
    block: Block

    async def elements(self, scope: Scope) -> "list[Any] | range | Doubles":
        """The values to iterate over."""
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


def _count(elements: "list[Any] | range | Doubles") -> int | None:
    """How many elements there are; None for more than a machine word counts, at which the step limit ends the loop."""
    try:
        return len(elements)
    except OverflowError:
        return None


def _numbers(start: Any, end: Any) -> "list[Any] | range | Doubles":
    """From start to end, inclusive, in steps of 1."""
    for bound in (start, end):
        if not is_number(bound):
            raise type_error(f"'range' of a for loop takes numbers, got {shown_type(bound)}")
    if type(start) is int and type(end) is int:
        return range(start, end + 1)
    count = int(end - start) + 1 if end >= start else 0
    return Doubles(float(start), count)


class Doubles:
    """Doubles in steps of 1, generated lazily: a range may not fit into memory."""

    def __init__(self, start: float, count: int) -> None:
        self.start = start
        self.count = count

    def __iter__(self) -> Iterator[float]:
        return (self.start + at for at in range(self.count))

    def __len__(self) -> int:
        return self.count


@dataclass(eq=False)
class ForOperation(Operation):
    """`for`"""

    loop: CompiledLoop
    kind = "STEP_FOR"
    awaits = True

    async def act(self, scope: Scope) -> Signal:
        loop, block, frame = self.loop, self.loop.block, scope.frame
        inner = Scope(frame, scope)
        execution = frame.execution
        try:
            elements = await loop.elements(scope)
            expected = _count(elements)
            for index, value in enumerate(elements):
                inner.declare(loop.value, value)
                if loop.index is not None:
                    inner.declare(loop.index, index)
                entry = frame.begin(self.name, "STEP_FOR_ITERATION", self.place, index, expected)
                try:
                    signal = await block.run(inner) if block.awaits else block.run_now(inner)
                except (RaisedError, asyncio.CancelledError) as error:
                    frame.end(entry, inner.visible, error)
                    raise
                frame.end(entry, inner.visible)
                if signal is BREAK:
                    return None
                if signal is not None and signal is not CONTINUE:
                    return signal
                if not block.awaits and index % YIELD_EVERY == 0 and execution.steps:
                    await asyncio.sleep(0)
        finally:
            inner.drop()
        return None
