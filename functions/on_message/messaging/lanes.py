"""Lanes: the parts of the waiting inputs that concurrent collections divide among themselves.

collections/lanes.json of the work bucket says which collection holds which lane, until when. An input's lane follows
from its job. A collection renews its leases before each step; the lanes of one that has died are free once they end.
Two collections of one lane at the same time would waste requests, but start no input twice: the claims decide.
"""

import json
import random
import time
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import storage
from pipeline.errors import InProgressError
from pipeline.settings import Settings
from pipeline.times import Clock, parse, utc_now

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

COUNT = 32
MAX_RACES = 20

NAME = "collections/lanes.json"
ALL = frozenset(range(COUNT))


@dataclass(frozen=True, slots=True)
class Lease:
    owner: str
    until: datetime


Table = Mapping[int, Lease]
"""The leases by lane; free lanes are missing."""


def of(job: str) -> int:
    """The lane of a job, by its id."""
    return zlib.crc32(job.encode()) % COUNT


def lease(settings: Settings) -> timedelta:
    """After which the lanes of a collection that has died are free; longer than most of a collection's steps."""
    return timedelta(seconds=2 * settings.claim_lease)


class Lanes:
    """The lanes that one collection holds.

    Args:
        collections: the most that run at the same time.
        lease: of each lane, until it is renewed.
        owner: under which another collection has left it lanes.
    """

    def __init__(
        self, work: "Bucket", collections: int, lease: timedelta, clock: Clock = utc_now, owner: str | None = None
    ) -> None:
        self._work, self._collections, self._lease, self._clock = work, collections, lease, clock
        self.owner = owner or _new_owner()
        self.held: frozenset[int] = frozenset()
        self._renewal = datetime.min.replace(tzinfo=UTC)  # of the leases

    def take(self) -> None:
        """Takes the lanes left to it, or else all that are free. Raises InProgressError as `share`."""
        if not self.held:
            self._take()

    def renew(self) -> None:
        """Renews the leases of the lanes that it holds, once half of their time is over; raises as `take`.

        If they have ended meanwhile, it takes others that are free.
        """
        if self.held and self._clock() >= self._renewal:
            self._take()

    def share(self) -> str | None:
        """Leaves half of the lanes to one more collection, if there may be one; the owner under which it does.

        Raises:
            InProgressError: too many collections change the table at the same moment.
        """
        heir, before = _new_owner(), self.held

        def halved(table: Table, now: datetime) -> Table:
            if len({lease.owner for lease in table.values()}) >= self._collections:
                return table
            left = sorted(lane for lane, lease in table.items() if lease.owner == self.owner)[1::2]
            return {**table, **{lane: Lease(heir, now + self._lease) for lane in left}}

        if len(self.held) > 1:
            self._change(halved)
        return heir if self.held < before else None

    def release(self) -> None:
        """Releases all lanes. Raises InProgressError as `share`."""
        if self.held:
            self._change(lambda table, _: {lane: each for lane, each in table.items() if each.owner != self.owner})

    def _take(self) -> None:
        now = self._clock()
        self._change(self._taken)
        self._renewal = now + self._lease / 2

    def _taken(self, table: Table, now: datetime) -> Table:
        mine = [lane for lane, lease in table.items() if lease.owner == self.owner]
        if not mine and len({lease.owner for lease in table.values()}) < self._collections:
            mine = sorted(ALL - table.keys())
        return {**table, **{lane: Lease(self.owner, now + self._lease) for lane in mine}}

    def _change(self, change: Callable[[Table, datetime], Table]) -> None:
        """Writes the changed table, and notes which lanes are now this collection's."""
        for race in range(MAX_RACES):
            time.sleep(random.uniform(0, 0.05 * race))  # noqa: S311 - only spreads competing collections
            blob: Blob = self._work.blob(NAME)
            table, generation = _read(blob)
            now = self._clock()
            after = change({lane: lease for lane, lease in table.items() if lease.until > now}, now)
            if after != table:
                try:
                    storage.put(blob, _json(after), storage.stamp("lanes"), generation=generation)
                except PreconditionFailed:  # another collection was faster
                    continue
            self.held = frozenset(lane for lane, lease in after.items() if lease.owner == self.owner)
            return
        raise InProgressError("Too many collections are dividing the waiting inputs.")


def _new_owner() -> str:
    return uuid.uuid4().hex


def _read(blob: "Blob") -> tuple[Table, int]:
    """The table, and the object's generation."""
    try:
        fields = json.loads(blob.download_as_bytes())
    except NotFound:
        return {}, 0
    table = {int(lane): Lease(lease["owner"], parse(lease["until"])) for lane, lease in fields.items()}
    return table, blob.generation or 0


def _json(table: Table) -> str:
    return json.dumps({lane: {"owner": lease.owner, "until": lease.until.isoformat()} for lane, lease in table.items()})
