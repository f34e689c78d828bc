"""A clock that tests advance by hand."""

import asyncio


class ManualClock:
    """The time changes only when a test advances it."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._timers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for until, timer in self._timers:
            if until <= self._now:
                timer.set()

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        if until is not None and until <= self._now:
            return
        timer = asyncio.Event()
        entry = (float("inf") if until is None else until, timer)
        self._timers.append(entry)
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(timer.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._timers.remove(entry)
            for wait in waits:
                wait.cancel()
