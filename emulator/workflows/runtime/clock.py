"""Time as a parameter, so that tests of retries, sleeps and timeouts don't wait."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The time of an execution."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


class SystemClock:
    """The time of the machine."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
