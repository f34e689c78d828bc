"""Virtual time: processes are generators that yield the seconds they take."""

import heapq
import itertools
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

Process = Generator[float, None, None]


class World:
    """What happens when, and what time it is; every run is the same."""

    BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Process]] = []

    def utc(self) -> datetime:
        return self.BEGIN + timedelta(seconds=self.now)

    def start(self, process: Process, after: float = 0.0) -> None:
        heapq.heappush(self._due, (self.now + after, next(self._order), process))

    def run(self, until: float) -> None:
        """Runs what is due before a moment, in seconds from the beginning."""
        while self._due and self._due[0][0] <= until:
            self.now, _, process = heapq.heappop(self._due)
            pause = next(process, None)
            if pause is not None:
                self.start(process, pause)
        self.now = until


class Pool:
    """Places that each handle one call at a time, in the order of their arrival."""

    def __init__(self, world: World, places: int) -> None:
        self._world = world
        self._free = [0.0] * places

    def waits(self) -> float:
        """Seconds until a place is free."""
        return max(0.0, self._free[0] - self._world.now)

    def book(self, seconds: float) -> float:
        """Books a call of so many seconds, and returns the seconds until it ends."""
        ends = self._world.now + self.waits() + seconds
        heapq.heapreplace(self._free, ends)
        return ends - self._world.now
