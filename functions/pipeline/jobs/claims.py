"""Claims: of all the handlers that an input's events reach, one starts its execution.

A claim is an object in the work bucket. Each change has the object's generation as precondition, so that of several
handlers one succeeds:

    (none) ── acquire, if_generation_match=0 ──► claimed ── confirm ──► started
                                                   │  ▲
                       handler failed: release ◄───┘  └── lease expired: take over, if_generation_match=current

A handler that stalls for longer than its lease can still cause a second execution; the outcome then has one winner.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Self

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import logs
from pipeline.errors import InProgressError
from pipeline.storage import UNAVAILABLE, put, stamp
from pipeline.times import Clock, utc_now

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

CLAIMED, STARTED = "claimed", "started"


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim on a job as last read or written; `generation` is that of its object."""

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
        fields = json.loads(text)
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
    """The claims in the work bucket.

    Args:
        lease: seconds after which an unconfirmed claim may be taken over.
    """

    def __init__(self, work: "Bucket", lease: float, clock: Clock = utc_now) -> None:
        self._work = work
        self._lease = lease
        self._clock = clock

    def acquire(self, job: str, event_id: str) -> Claim | None:
        """Claims a job for the caller, who then confirms or releases; None if the job was started before.

        Raises:
            InProgressError: another handler's claim is fresh.
        """
        claim = Claim(job, uuid.uuid4().hex, event_id, self._clock())
        written = self._write(claim)
        if written:
            return written
        current = self.read(job)
        if current is None:
            raise InProgressError(f"The claim on job {job} has just been released.")
        if current.owner == claim.owner:
            return current  # the write succeeded, its response was lost, and the client repeated it
        if current.state == STARTED:
            return None
        if not self.is_stale(current):
            raise InProgressError(f"Another handler claimed job {job} at {current.claimed_at.isoformat()}.")
        return self.take_over(current, event_id)

    def take_over(self, stale: Claim, event_id: str) -> Claim:
        """Replaces a claim whose handler or execution has died.

        Raises:
            InProgressError: it has changed since it was read.
        """
        claim = Claim(stale.job, uuid.uuid4().hex, event_id, self._clock(), generation=stale.generation)
        written = self._write(claim)
        if written:
            logs.info("claim taken over", previous_event=stale.event_id)
            return written
        current = self.read(stale.job)
        if current is None or current.owner != claim.owner:
            raise InProgressError(f"Another handler took over job {stale.job}.")
        return current

    def confirm(self, claim: Claim, execution: str | None) -> None:
        """Marks the job as started: its execution runs, or its document is written.

        A claim that another handler has taken over stays with that handler. A storage failure is logged only: the
        work is done, so the event must not be delivered again.
        """
        try:
            if self._write(replace(claim, state=STARTED, execution=execution)) is None:
                logs.warning("claim was lost before it was confirmed", execution=execution)
        except UNAVAILABLE as error:
            logs.warning("claim could not be confirmed", execution=execution, reason=str(error))

    def release(self, claim: Claim) -> None:
        """Deletes the claim so that the next delivery need not wait for the lease to expire."""
        try:
            self._blob(claim.job).delete(if_generation_match=claim.generation)
        except (NotFound, PreconditionFailed):
            logs.info("claim was lost before it was released")
        except UNAVAILABLE as error:
            logs.warning("claim could not be released and will expire", reason=str(error))

    @contextmanager
    def releasing(self, *claims: Claim) -> Iterator[None]:
        """Releases the claims if the block raises."""
        try:
            yield
        except BaseException:
            for claim in claims:
                self.release(claim)
            raise

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
        """The claim as written, or None if the object no longer has the claim's generation."""
        blob = self._blob(claim.job)
        try:
            put(blob, claim.json(), stamp(claim.job), generation=claim.generation)
        except PreconditionFailed:
            return None
        return replace(claim, generation=blob.generation)

    def _blob(self, job: str) -> "Blob":
        blob: Blob = self._work.blob(f"claims/{job}.json")
        return blob
