"""Claims: of all handlers that an input's events reach, one starts its execution.

A claim is an object in the work bucket, and its generation is what two handlers can race for but only one can win:

    (none) ── create, if_generation_match=0 ──► claimed ── confirm ──► started
                                                  │  ▲
                       handler failed: release ◄──┘  └── lease over: another takes it, if_generation_match=its own

Starting twice stays possible (a handler that sleeps longer than its lease); the outcome then has one winner.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import logs, storage
from pipeline.errors import InProgressError
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

Clock = Callable[[], datetime]
CLAIMED, STARTED = "claimed", "started"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim on a job as it was last seen; `generation` is that of its object."""

    job: str
    owner: str
    event_id: str
    claimed_at: datetime
    state: str = CLAIMED
    execution: str | None = None
    generation: int = 0

    def json(self) -> str:
        fields = {
            "owner": self.owner,
            "state": self.state,
            "event_id": self.event_id,
            "claimed_at": self.claimed_at.isoformat(),
            "execution": self.execution,
        }
        return json.dumps(fields)

    @classmethod
    def parse(cls, job: str, generation: int, text: bytes) -> Self:
        fields: dict[str, Any] = json.loads(text)
        return cls(
            job=job,
            owner=fields["owner"],
            event_id=fields["event_id"],
            claimed_at=datetime.fromisoformat(fields["claimed_at"]),
            state=fields["state"],
            execution=fields["execution"],
            generation=generation,
        )


class Claims:
    """The claims in one bucket.

    Args:
        bucket: the work bucket.
        lease: seconds after which a claim that was never confirmed may be taken over.
    """

    def __init__(self, bucket: "Bucket", lease: float, clock: Clock = utc_now) -> None:
        self._bucket = bucket
        self._lease = lease
        self._clock = clock

    def acquire(self, job: str, event_id: str) -> Claim | None:
        """Claims a job for the caller, who then confirms or releases; None when it was started before.

        Raises:
            InProgressError: another handler's claim is fresh.
        """
        mine = Claim(job, uuid.uuid4().hex, event_id, self._clock())
        won = self._write(mine)
        if won:
            return won
        held = self.read(job)
        if held is None:
            raise InProgressError(f"The claim on job {job} is changing hands.")
        if held.owner == mine.owner:
            return held  # our own write, whose answer was lost and which was then repeated
        if held.state == STARTED:
            return None
        if not self.is_stale(held):
            raise InProgressError(f"Another handler claimed job {job} at {held.claimed_at.isoformat()}.")
        return self.take_over(held, event_id)

    def take_over(self, held: Claim, event_id: str) -> Claim:
        """Replaces a claim that leads nowhere any more.

        Raises:
            InProgressError: it has changed meanwhile.
        """
        mine = Claim(held.job, uuid.uuid4().hex, event_id, self._clock(), generation=held.generation)
        won = self._write(mine)
        if won:
            logs.info("claim taken over", previous_event=held.event_id)
            return won
        now = self.read(held.job)
        if now is None or now.owner != mine.owner:
            raise InProgressError(f"Another handler took over job {held.job}.")
        return now

    def confirm(self, claim: Claim, execution: str | None) -> None:
        """Notes that the job needs no further handler: its execution runs, or its document is written.

        A claim lost in the meantime stays with its new owner. The work is done either way, so that trouble with
        storage is no reason to have the event delivered again.
        """
        try:
            if self._write(replace(claim, state=STARTED, execution=execution)) is None:
                logs.warning("claim was lost before it was confirmed", execution=execution)
        except storage.AGAIN as error:
            logs.warning("claim could not be confirmed", execution=execution, reason=str(error))

    def release(self, claim: Claim) -> None:
        """Gives the claim up so that the next delivery need not wait for the lease to end."""
        try:
            self._blob(claim.job).delete(if_generation_match=claim.generation)
        except (NotFound, PreconditionFailed):
            logs.info("claim was lost before it was released")
        except storage.AGAIN as error:
            logs.warning("claim could not be released, its lease will end it", reason=str(error))

    def read(self, job: str) -> Claim | None:
        blob = self._blob(job)
        try:
            text = blob.download_as_bytes()
        except NotFound:
            return None
        return Claim.parse(job, blob.generation, text)

    def is_stale(self, claim: Claim) -> bool:
        age = (self._clock() - claim.claimed_at).total_seconds()
        return claim.state == CLAIMED and age > self._lease

    def _write(self, claim: Claim) -> Claim | None:
        """The claim as written, or None when its generation is no longer the object's."""
        blob = self._blob(claim.job)
        try:
            put(blob, claim.json(), stamp(claim.job), generation=claim.generation)
        except PreconditionFailed:
            return None
        return replace(claim, generation=blob.generation)

    def _blob(self, job: str) -> "Blob":
        blob: Blob = self._bucket.blob(f"claims/{job}.json")
        return blob
