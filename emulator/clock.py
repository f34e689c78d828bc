"""Clocks: code that waits takes one as a parameter, so that tests can advance the time by hand."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """Return when the event is set or the time `until` has come; None means no deadline."""


class SystemClock:
    def now(self) -> float:
        return time.time()

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - self.now())):
                await event.wait()
        except TimeoutError:
            pass
