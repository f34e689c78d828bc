"""Time as a parameter, so that retries, sleeps and timeouts can be tested without waiting."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What an execution needs of time."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
