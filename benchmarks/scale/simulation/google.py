"""What the pipeline's decisions ask of Google: a bucket with generations, and the executions of a workflow."""

import math
from dataclasses import dataclass

from google.api_core.exceptions import NotFound, PreconditionFailed, TooManyRequests

from benchmarks.scale.simulation.clock import World


class Bucket:
    """A bucket in memory, as far as the hourly quota, the lanes and the circuits use one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: dict[str, tuple[bytes, int]] = {}

    def blob(self, name: str) -> "Blob":
        return Blob(self, name)


class Blob:
    """A handle on an object."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self.bucket, self.name = bucket, name
        self.metadata: dict[str, str] = {}
        self.generation: int | None = None

    def download_as_bytes(self) -> bytes:
        try:
            content, self.generation = self.bucket.objects[self.name]
        except KeyError:
            raise NotFound(self.name) from None
        return content

    def upload_from_string(self, data: str, _content_type: str, if_generation_match: int | None) -> None:
        _, current = self.bucket.objects.get(self.name, (b"", 0))
        if if_generation_match not in (None, current):
            raise PreconditionFailed(self.name)
        self.generation = current + 1
        self.bucket.objects[self.name] = data.encode(), self.generation


@dataclass(slots=True)
class Workflows:
    """The executions that Workflows lets start: so many a second, and no more at the same time than it queues."""

    world: World
    per_second: float
    most: int
    running: int = 0
    refused: int = 0
    _allowance: float = math.inf
    _since: float = 0.0

    def create(self) -> None:
        """Starts an execution. Raises TooManyRequests."""
        elapsed, self._since = self.world.now - self._since, self.world.now
        self._allowance = min(self.per_second, self._allowance + elapsed * self.per_second)
        if self._allowance < 1 or self.running >= self.most:
            self.refused += 1
            raise TooManyRequests("the quota of Workflows")
        self._allowance -= 1
        self.running += 1
