"""Caps how many executions start in an hour, counted in one object per hour of the work bucket.

Inputs that can share an execution get only a part of the cap for executions of their own. Beyond it they are collected,
so that a flood turns into few executions and leaves some for inputs that need their own.

An instance reserves a hundredth of the cap at a time and counts that down in memory, since an object accepts about one
write a second. What it reserves belongs to the hour and is lost when the hour ends, so the cap is never exceeded.
"""

import functools
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import storage
from pipeline.errors import InProgressError, ThrottledError
from pipeline.times import Clock, utc_now

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

BLOCKS = 100
OF_SHAREABLE = 0.2  # of the cap, for the own executions of inputs that can share one
MAX_RACES = 10


class Quota:
    """The executions that this process may still start in the current hour.

    Args:
        cap: executions per hour, of all processes together; 0 for no limit.
        tenant: whose quota it is; none for that of all.
    """

    def __init__(self, work: "Bucket", cap: int, clock: Clock = utc_now, tenant: str = "") -> None:
        self._work, self._cap, self._clock = work, cap, clock
        self._suffix = f"/{tenant}" if tenant else ""
        self._lock = threading.Lock()
        self._hour = ""
        self._left = 0
        self._is_spent = False

    @contextmanager
    def counted(self, refusals: tuple[type[Exception], ...]) -> Iterator[None]:
        """Counts the execution that the block starts, unless it raises one of the refusals.

        After any other error the execution may exist, so it counts.

        Raises:
            ThrottledError: the hour has none left.
            InProgressError: too many processes reserve at the same moment.
        """
        if not self._cap:
            yield
            return
        hour = self._take()
        try:
            yield
        except refusals:
            self._give_back(hour)
            raise

    def takes(self) -> bool:
        """Takes one if any is left; whether there was. Raises InProgressError as `counted`."""
        try:
            if self._cap:
                self._take()
        except ThrottledError:
            return False
        return True

    def is_spent(self) -> bool:
        """Whether the hour has no execution left; reserves some to find out. Raises InProgressError as `counted`."""
        if not self._cap:
            return False
        with self._lock:
            self._refill()
            return not self._left

    def _take(self) -> str:
        """Takes one execution and returns the hour that it belongs to."""
        with self._lock:
            self._refill()
            if not self._left:
                raise ThrottledError("MAX_EXECUTIONS_PER_HOUR")
            self._left -= 1
            return self._hour

    def _give_back(self, hour: str) -> None:
        with self._lock:
            if hour == self._hour:
                self._left += 1

    def _refill(self) -> None:
        """Reserves executions of the current hour if none are left, and again if the hour ends meanwhile."""
        while self._enter_hour() or not (self._left or self._is_spent):
            self._left = self._reserve()
            self._is_spent = not self._left

    def _enter_hour(self) -> bool:
        """Drops what belongs to an earlier hour; whether a new hour has begun."""
        hour = self._clock().strftime("%Y-%m-%dT%H")
        if hour == self._hour:
            return False
        self._hour, self._left, self._is_spent = hour, 0, False
        return True

    def _reserve(self) -> int:
        for race in range(MAX_RACES):
            time.sleep(random.uniform(0, 0.03 * race))  # noqa: S311 - only spreads competing processes
            blob: Blob = self._work.blob(f"quotas/{self._hour}{self._suffix}.json")
            taken, generation = _read(blob)
            wanted = min(max(1, self._cap // BLOCKS), self._cap - taken)
            if wanted <= 0:
                return 0
            try:
                content = json.dumps({"taken": taken + wanted})
                storage.put(blob, content, storage.stamp("quota"), generation=generation)
            except PreconditionFailed:  # another process was faster, or the client repeated our write: a lost block
                continue
            return wanted
        raise InProgressError("Too many processes are reserving executions of this hour.")


@functools.cache
def of(work: str, cap: int, *, is_shareable: bool = False) -> Quota:
    """This process's share of the cap; `work` is the work bucket's name."""
    return Quota(storage.bucket(work), part(cap, is_shareable=is_shareable))


@functools.lru_cache(maxsize=10_000)
def of_tenant(work: str, cap: int, tenant: str) -> Quota:
    """This process's part of a tenant's share, in inputs."""
    return Quota(storage.bucket(work), cap, tenant=tenant)


def part(cap: int, *, is_shareable: bool) -> int:
    """The executions of a cap that are for inputs of a kind; a small cap is not divided."""
    return int(cap * OF_SHAREABLE) if is_shareable and cap >= BLOCKS else cap


def _read(blob: "Blob") -> tuple[int, int]:
    """How many executions are reserved, and the object's generation."""
    try:
        taken: int = json.loads(blob.download_as_bytes())["taken"]
    except NotFound:
        return 0, 0
    return taken, blob.generation or 0
