"""Inputs that may wait to be predicted on together: until when, and the notes by which a collection finds them.

waiting/<due>-<job>.json    a note, whose metadata name the inputs that may share its run
waiting/~<due>-<job>.json   one on an input beyond its tenant's share, which a listing has after all others

A note is written before the claim says that its job waits, so that no job waits without one. What a note says may be
outdated: the claim decides.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import times
from pipeline.deployment import Deployment
from pipeline.inputs import parameters
from pipeline.jobs import outcomes
from pipeline.jobs.claims import CONCLUDED, STARTED, WAITING, Claim, Claims
from pipeline.jobs.job import Input, Job, Model, on_endpoint
from pipeline.kinds import SINGLE
from pipeline.settings import Settings
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

FOLDER = "waiting/"
BEYOND = "waiting/~"  # sorts after all digits
LONGEST_OVERDUE = timedelta(hours=6)  # that a sweep leaves to the collections
MAX_PUT_BACK = 3  # times, so that an input that brings the GPU service down ends in a document
GROUP = "pipeline-group"
TENANT = "pipeline-tenant"
DUE = "%Y-%m-%dT%H:%M:%SZ"  # to the second, so that names are in the order of time


@dataclass(frozen=True, slots=True)
class Note:
    """A job that waits until `due`; jobs of the same `group` may share a run, in which tenants take turns."""

    job: str
    due: datetime
    group: str
    tenant: str = ""
    is_beyond_share: bool = False

    @property
    def name(self) -> str:
        return f"{BEYOND if self.is_beyond_share else FOLDER}{self.due.strftime(DUE)}-{self.job}.json"


def is_possible(settings: Settings, job: Job) -> bool:
    """Whether the input can be predicted on together with others: an uploaded text or image for the GPU service."""
    is_upload = isinstance(job.input, Input) and job.input.bucket == settings.input_bucket
    return job.kind in SINGLE and is_upload and not on_endpoint(job.model)


def seconds(settings: Settings, job: Job) -> int:
    """How long the job may wait: as its parameter says, else by its folder, else as the deployment says."""
    if not is_possible(settings, job):
        return 0
    requested: int | None = job.parameters.get("max_wait")
    return settings.max_wait_of(job.object_input().name) if requested is None else requested


def due(settings: Settings, job: Job) -> str | None:
    """When a job must have been started, in RFC 3339, counted from its upload; None if at once."""
    wait = seconds(settings, job)
    if not wait:
        return None
    return (_began(job) + timedelta(seconds=wait)).astimezone(UTC).strftime(DUE)


def _began(job: Job) -> datetime:
    """When the upload's wait began: not later than now, whatever an event states."""
    now = times.utc_now()
    try:
        return min(times.parse(job.created_at or job.received_at), now)
    except ValueError:
        return now


def note(job: Job) -> Note:
    """The note on a job that waits."""
    if job.due is None:
        raise ValueError(f"Job {job.id} does not wait.")
    return Note(job.id, times.parse(job.due), group(job), job.tenant or "", job.is_beyond_share)


def write(work: "Bucket", job: Job) -> None:
    """Notes that a job waits; safe to repeat."""
    written = note(job)
    with contextlib.suppress(PreconditionFailed):  # an earlier delivery of the event wrote it
        metadata = stamp(job.id) | {GROUP: written.group} | ({TENANT: written.tenant} if written.tenant else {})
        put(work.blob(written.name), json.dumps({"job": job.id}), metadata, generation=0)


def put_back(deployment: Deployment, job: Job, execution: str | None) -> bool:
    """Leaves the input of an execution that met an outage to a collection.

    Args:
        execution: by name or id.

    Returns:
        Whether it waits, or another handler or execution is at work on it. An input that cannot share an execution, has
        its outcome or was put back too often is left to this execution.
    """
    if not is_possible(deployment.settings, job):
        return False
    claims = Claims(deployment.work, deployment.settings.claim_lease)
    claim, decided = claims.read(job.id), outcomes.read(deployment.work, job.id)
    if claim is None or claim.state == CONCLUDED or (decided and not decided.reopened):
        return False
    if claim.state != STARTED or _id(claim.execution) != _id(execution):
        return True
    started = Job.parse(claim.argument)
    if started.put_back >= MAX_PUT_BACK:
        return False
    again = replace(started, due=times.utc_now().strftime(DUE), put_back=started.put_back + 1)
    write(deployment.work, again)
    claims.postpone(claim, again)
    return True


def _id(execution: str | None) -> str:
    return (execution or "").rpartition("/")[2]


def notes(work: "Bucket", limit: int, prefix: str = FOLDER) -> Iterator[Note]:
    """The notes, those that are due first before all others, but those beyond their tenants' shares last."""
    for blob in work.list_blobs(prefix=prefix, max_results=limit):
        read = _parse(blob)
        if read is not None:
            yield read


def is_noted(work: "Bucket", claim: Claim) -> bool:
    """Whether a collection will find a claim that has been due for some time, as while no execution can be started."""
    if claim.state != WAITING or claim.due is None or times.utc_now() - claim.due > LONGEST_OVERDUE:
        return False
    is_beyond = claim.argument.get("is_beyond_share", False)
    exists: bool = work.blob(Note(claim.job, claim.due, "", is_beyond_share=is_beyond).name).exists()
    return exists


def forget(work: "Bucket", note: Note) -> None:
    """Deletes the note on a job that no longer waits."""
    with contextlib.suppress(NotFound):
        work.blob(note.name).delete()


def group(job: Job) -> str:
    """A digest of what the inputs of a run must have in common."""
    asked = [job.kind, _version(job.model), parameters.of_reader("gpu_service", job.parameters)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def _version(model: Model | None) -> tuple[str | None, ...] | None:
    """The version, and the one to use if it is not served."""
    return model and (model["name"], model["version"], model.get("experiment", {}).get("stable"))


def _parse(blob: "Blob") -> Note | None:
    """The note in a listed object; None for an object that `write` did not write."""
    is_beyond = blob.name.startswith(BEYOND)
    due, _, job = blob.name.removeprefix(BEYOND).removeprefix(FOLDER).removesuffix(".json").rpartition("-")
    try:
        moment = times.parse(due)
    except ValueError:
        return None
    metadata = blob.metadata or {}
    return Note(job, moment, metadata.get(GROUP, ""), metadata.get(TENANT, ""), is_beyond)
