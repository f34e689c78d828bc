"""Fixtures: a clock that never waits, and a runtime with it."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

import pytest

from emulator.workflows import Environment, Observer, Outcome, Runtime, load


class FakeClock:
    """Time that jumps to the next sleeper's wake-up when all other tasks are idle."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._driver: asyncio.Task[None] | None = None

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        done = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, len(self.slept), done))
        if self._driver is None or self._driver.done():
            self._driver = asyncio.ensure_future(self._drive())
        await done

    async def _drive(self) -> None:
        while self._sleepers:
            for _ in range(50):
                await asyncio.sleep(0)
            moment, _, done = heapq.heappop(self._sleepers)
            if not done.done():
                self.time = moment
                done.set_result(None)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def execute(clock: FakeClock) -> Callable[..., Outcome]:
    """Load and run a source to its end, on the fake clock."""

    def run(
        source: str, argument: Any = None, *, observer: Observer | None = None, environment: Environment | None = None
    ) -> Outcome:
        async def go() -> Outcome:
            async with Runtime(clock=clock) as runtime:
                return await load(source).execute(argument, runtime=runtime, observer=observer, environment=environment)

        return asyncio.run(go())

    return run
