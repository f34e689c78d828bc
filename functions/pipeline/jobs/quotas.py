"""Caps how many executions start in an hour, counted in one object per hour of the work bucket.

An instance reserves a hundredth of the cap at a time and counts that down in memory: an object takes about one write a
second, and a bill needs no exact count. What an instance reserved and did not use is lost for the hour, so that the
cap is never exceeded.
"""

import functools
import json
import random
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import storage
from pipeline.errors import InProgressError
from pipeline.jobs.claims import Clock, utc_now
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

BLOCKS = 100
RACES = 10


class Quota:
    """The executions that this process may still start in the hour.

    Args:
        bucket: the work bucket.
        cap: executions per hour, of all processes together.
    """

    def __init__(self, bucket: "Bucket", cap: int, clock: Clock = utc_now) -> None:
        self._bucket, self._cap, self._clock = bucket, cap, clock
        self._lock = threading.Lock()
        self._hour = ""
        self._left = 0
        self._spent = False

    def take(self) -> bool:
        """Whether one more execution may start.

        Raises:
            InProgressError: too many others count at the same moment.
        """
        with self._lock:
            self._turn(self._clock())
            if not self._left and not self._spent:
                self._left = self._reserve()
                self._spent = not self._left
            if not self._left:
                return False
            self._left -= 1
            return True

    def give_back(self) -> None:
        """Counts an execution that could not be started as not started."""
        with self._lock:
            self._left += 1

    def _turn(self, now: datetime) -> None:
        hour = now.strftime("%Y-%m-%dT%H")
        if hour != self._hour:
            self._hour, self._left, self._spent = hour, 0, False

    def _reserve(self) -> int:
        for race in range(RACES):
            time.sleep(random.uniform(0, 0.03 * race))  # noqa: S311 - only keeps racers apart
            blob: Blob = self._bucket.blob(f"quotas/{self._hour}.json")
            taken, generation = _read(blob)
            wanted = min(max(1, self._cap // BLOCKS), self._cap - taken)
            if wanted <= 0:
                return 0
            try:
                put(blob, json.dumps({"taken": taken + wanted}), stamp("quota"), generation=generation)
            except PreconditionFailed:  # another was faster, or it was our own, repeated: then the block is lost
                continue
            return wanted
        raise InProgressError("The hour's executions are being counted by too many at once.")


@functools.cache
def of(bucket: str, cap: int) -> Quota:
    """This process's share of the cap."""
    return Quota(storage.bucket(bucket), cap)


def _read(blob: "Blob") -> tuple[int, int]:
    try:
        taken: int = json.loads(blob.download_as_bytes())["taken"]
    except NotFound:
        return 0, 0
    return taken, blob.generation or 0
