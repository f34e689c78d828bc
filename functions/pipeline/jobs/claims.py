"""Claims: of all the handlers that an input's events reach, one starts its execution.

A claim is an object in the work bucket. Each change has the object's generation as precondition, so that of several
handlers one succeeds:

    (none) ── acquire, if_generation_match=0 ──► claimed ── confirm ──► started ── conclude ──► concluded
                                                 │  ▲  │                                            ▲
                     handler failed: release ◄───┘  │  ├── confirm, without an execution ───────────┘
      take over: lease expired, or waiting ─────────┘  └── postpone; release of one taken over ──► waiting

A collection starts many jobs with one execution. Their claims name its run, and one object names the run's execution
(`starts`) instead of a confirmation of each: such a claim reads as started once that object has its job.

A claim holds the workflow's argument, so that a sweep can finish its job after the input has been overwritten or
deleted. A concluded job has its document. A waiting one has no event any more and needs an execution: now, or before
the moment that its argument calls `due`.

A handler that stalls for longer than its lease can still cause a second execution; the outcome then has one winner.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Self

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import logs
from pipeline.errors import InProgressError
from pipeline.jobs import starts
from pipeline.jobs.job import Argument, Job
from pipeline.storage import UNAVAILABLE, put, stamp
from pipeline.times import Clock, parse, utc_now

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

FOLDER = "claims/"
STATE = "pipeline-claim"
"""The metadata that repeat a claim's state, for a listing."""

CLAIMED, WAITING, STARTED, CONCLUDED = "claimed", "waiting", "started", "concluded"


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim on a job as last read or written; `generation` is that of its object.

    `run` is that of a collection which starts the job together with others. `took_over` tells whether its writer
    replaced an older claim, whose event may have been acknowledged.
    """

    owner: str
    argument: Argument
    claimed_at: datetime
    state: str = CLAIMED
    execution: str | None = None
    run: str | None = None
    generation: int = 0
    took_over: bool = field(default=False, compare=False)

    @property
    def job(self) -> str:
        return self.argument["job"]

    @property
    def event_id(self) -> str:
        return self.argument["event_id"]

    @property
    def is_taken_in(self) -> bool:
        """Whether an execution was started for the job, or its document written."""
        return self.state in (STARTED, CONCLUDED)

    @property
    def due(self) -> datetime | None:
        """When a job that may wait to be predicted on with others must have been started."""
        return parse(self.argument["due"]) if "due" in self.argument else None

    def json(self) -> str:
        fields = {
            "owner": self.owner,
            "state": self.state,
            "claimed_at": self.claimed_at.isoformat(),
            "execution": self.execution,
            "argument": self.argument,
        }
        if self.run:
            fields["run"] = self.run
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def parse(cls, generation: int, text: bytes) -> Self:
        fields = json.loads(text)
        return cls(
            owner=fields["owner"],
            argument=fields["argument"],
            claimed_at=datetime.fromisoformat(fields["claimed_at"]),
            state=fields["state"],
            execution=fields["execution"],
            run=fields.get("run"),
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

    def acquire(self, job: Job) -> Claim | None:
        """Claims a job for the caller, who then confirms or releases; None if the job was taken in before.

        Raises:
            InProgressError: another handler's claim is fresh.
        """
        claim = Claim(uuid.uuid4().hex, job.argument(), self._clock())
        written = self._write(claim)
        if written:
            return written
        current = self.read(job.id)
        if current is None:
            raise InProgressError(f"The claim on job {job.id} has just been released.")
        if current.owner == claim.owner:
            return current  # the write succeeded, its response was lost, and the client repeated it
        if current.is_taken_in or self.waits(current):
            return None
        if not self.is_stale(current):
            raise InProgressError(f"Another handler claimed job {job.id} at {current.claimed_at.isoformat()}.")
        return self.take_over(current, job)

    def take_over(self, stale: Claim, job: Job, run: str | None = None) -> Claim:
        """Replaces a claim whose handler or execution has died, or whose job waits.

        Args:
            run: of the collection that does, for `confirm_run`.

        Raises:
            InProgressError: it has changed since it was read.
        """
        owner, generation = uuid.uuid4().hex, stale.generation
        claim = Claim(owner, job.argument(), self._clock(), run=run, generation=generation, took_over=True)
        written = self._write(claim)
        if written:
            logs.info("claim taken over", previous_event=stale.event_id)
            return written
        current = self.read(job.id)
        if current is None:
            raise InProgressError(f"The claim on job {job.id} has just been released.")
        if current.owner == claim.owner:
            return replace(current, took_over=True)
        if current == replace(stale, state=CONCLUDED, generation=current.generation) and stale.state == STARTED:
            return self.take_over(current, job, run)  # only a sweep has marked it
        raise InProgressError(f"Another handler took over job {job.id}.")

    def confirm(self, claim: Claim, job: Job, execution: str | None) -> None:
        """Marks the job as started by the execution, or as concluded if its document is written without one.

        A claim that another handler has taken over stays with that handler. A storage failure is logged only: the
        work is done, so the event must not be delivered again.
        """
        state = CONCLUDED if execution is None else STARTED
        try:
            if self._write(replace(claim, argument=job.argument(), state=state, execution=execution)) is None:
                logs.warning("claim was lost before it was confirmed", execution=execution)
        except UNAVAILABLE as error:
            logs.warning("claim could not be confirmed", execution=execution, reason=str(error))

    def confirm_run(self, run: str, jobs: Sequence[str], execution: str) -> None:
        """Marks the jobs, whose claims name the run, as started by the execution; a storage failure as in `confirm`."""
        try:
            starts.write(self._work, run, execution, jobs)
        except UNAVAILABLE as error:
            logs.warning("run could not be confirmed", execution=execution, jobs=len(jobs), reason=str(error))

    def postpone(self, claim: Claim, job: Job) -> None:
        """Leaves the job to a sweep or a collection; an error propagates, so that the event is not acknowledged."""
        if self._write(replace(claim, argument=job.argument(), state=WAITING)) is None:
            logs.info("claim was lost before it was postponed")

    def conclude(self, claim: Claim) -> None:
        """Marks a job that has its document, so that later sweeps skip it; no change if the claim has changed."""
        if self._write(replace(claim, state=CONCLUDED)) is None:
            logs.info("claim was lost before it was concluded")

    def release(self, claim: Claim) -> None:
        """Gives the job back: deletes the claim, so that the next delivery need not wait for the lease to expire.

        A claim that took over an older one is left waiting instead, since no delivery may follow.
        """
        try:
            if claim.took_over:
                self._write(replace(claim, state=WAITING))
            else:
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
        """The claim; one that names a run has the run's execution."""
        blob = self._blob(job)
        try:
            text = blob.download_as_bytes()
        except NotFound:
            return None
        claim = Claim.parse(blob.generation, text)
        if claim.run is None or claim.state != CLAIMED:
            return claim
        execution = starts.execution(self._work, claim.run, job)
        return replace(claim, state=STARTED, execution=execution) if execution else claim

    def waits(self, claim: Claim) -> bool:
        """Whether the job may still wait; a lease after it is due, the collection that should start it has failed."""
        return claim.state == WAITING and claim.due is not None and self._age(claim.due) < self._lease

    def is_stale(self, claim: Claim) -> bool:
        """Whether the claim may be taken over although the job was not taken in.

        The earlier of the writer's clock and Cloud Storage's dates it, since the writer's may be ahead.
        """
        if claim.state == WAITING:
            return not self.waits(claim)
        if claim.state != CLAIMED:
            return False
        if self._age(claim.claimed_at) > self._lease:
            return True
        current = self._work.get_blob(self._blob(claim.job).name)
        if current is None or current.generation != claim.generation:
            return False
        return abs(self._age(current.updated)) > self._lease  # below zero, the reader's own clock is behind

    def _age(self, moment: datetime) -> float:
        return (self._clock() - moment).total_seconds()

    def _write(self, claim: Claim) -> Claim | None:
        """The claim as written, or None if the object no longer has the claim's generation."""
        blob = self._blob(claim.job)
        try:
            put(blob, claim.json(), stamp(claim.job) | {STATE: claim.state}, generation=claim.generation)
        except PreconditionFailed:
            return None
        return replace(claim, generation=blob.generation)

    def _blob(self, job: str) -> "Blob":
        blob: Blob = self._work.blob(f"{FOLDER}{job}.json")
        return blob


def job_of(blob: "Blob") -> str | None:
    """The id of the job that a listed claim is on; None if the job is concluded."""
    if (blob.metadata or {}).get(STATE) == CONCLUDED:
        return None
    name: str = blob.name
    return name.removeprefix(FOLDER).removesuffix(".json")
