"""Takes inputs in: claim, validate and route, then start an execution or write the rejection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline import logs, storage
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError, ThrottledError
from pipeline.inputs import kinds, objects, parameters, sidecars
from pipeline.inputs.events import Receipt, Upload
from pipeline.jobs import documents, outcomes, quotas
from pipeline.jobs.claims import Claim, Claims
from pipeline.jobs.executions import start
from pipeline.jobs.job import BATCHED, Job, document_of_object, of_object
from pipeline.storage import is_stamped

WITH_SIDECARS = (*BATCHED, "timeseries")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an event: the word of its closing log line, and the fields beside it."""

    word: Literal["accepted", "rejected", "ignored", "throttled"]
    job: str | None = None
    document: str | None = None
    kind: str | None = None
    execution: str | None = None
    reason: str | None = None
    counts: dict[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in ("job", "document", "kind", "execution", "reason")}
        return {name: value for name, value in named.items() if value is not None} | (self.counts or {})


@dataclass(frozen=True, slots=True)
class Finished:
    """Work that needs no execution: its terminal document."""

    job: Job
    document: documents.Document


@dataclass(frozen=True, slots=True)
class Reserved:
    """A job that is claimed and routed: whoever has it starts an execution, then confirms or releases the claim."""

    job: Job
    claim: Claim


Work = Callable[[Job], Job | Finished]


def upload(deployment: Deployment, named: Upload, receipt: Receipt, held: Claim | None = None) -> Verdict:
    """Takes in an object of the input bucket; `held` is the claim of an execution that came to nothing.

    Raises:
        MalformedError: it lies in another bucket.
        InProgressError: another handler has just claimed it.
    """
    return _launched(deployment, reserve(deployment, named, receipt, held))


def reserve(deployment: Deployment, named: Upload, receipt: Receipt, held: Claim | None = None) -> Verdict | Reserved:
    """As `upload`, but what needs an execution is left to the caller, to launch it alone or with others."""
    if is_stamped(named.metadata):
        return Verdict("ignored", reason="written by the pipeline")
    if named.bucket != deployment.settings.input_bucket:
        raise MalformedError(f"The bucket {named.bucket!r} is not the one whose uploads are processed.")
    if named.size is None:
        named = describe(named)
    if not named.is_input:
        return Verdict("ignored", reason="a folder, or parameters of another input")
    return _reserve(deployment, job_of(named, receipt), lambda job: _routed(deployment, job, named), held)


def process(deployment: Deployment, job: Job, work: Work, held: Claim | None = None) -> Verdict:
    """Claims the job and does its work; `held` is a dead claim that is to be taken over."""
    return _launched(deployment, _reserve(deployment, job, work, held))


def launch(deployment: Deployment, reserved: Reserved) -> Verdict:
    """Starts a reserved job's own execution."""
    job, claims = reserved.job, Claims(deployment.work, deployment.settings.claim_lease)
    try:
        with releasing(claims, reserved.claim):
            verdict = _started(deployment, job)
    except ThrottledError:
        return throttled(job)
    claims.confirm(reserved.claim, verdict.execution)
    return verdict


def execute(deployment: Deployment, job: Job) -> str:
    """Creates the execution of a claimed job, if the hour has one left, and returns its name.

    Raises:
        RejectedError: the argument is too long.
        ThrottledError: the hour has none left.
    """
    if not deployment.settings.max_executions_per_hour:
        return start(deployment.settings, job)
    quota = quotas.of(deployment.settings.work_bucket, deployment.settings.max_executions_per_hour)
    if not quota.take():
        raise ThrottledError
    try:
        return start(deployment.settings, job)
    except BaseException:
        quota.give_back()
        raise


def is_throttled(deployment: Deployment) -> bool:
    """Whether the hour has no execution left."""
    if not deployment.settings.max_executions_per_hour:
        return False
    quota = quotas.of(deployment.settings.work_bucket, deployment.settings.max_executions_per_hour)
    if not quota.take():
        return True
    quota.give_back()
    return False


def throttled(job: Job) -> Verdict:
    return Verdict("throttled", job.id, job.document, reason="MAX_EXECUTIONS_PER_HOUR")


@contextmanager
def releasing(claims: Claims, *held: Claim) -> Iterator[None]:
    """Gives claims up when what is done inside fails."""
    try:
        yield
    except BaseException:
        for claim in held:
            claims.release(claim)
        raise


def refuse(deployment: Deployment, job: Job, reason: RejectedError) -> Verdict:
    """Writes the rejection, unless the job was decided otherwise before."""
    job = replace(job, kind=reason.kind or job.kind)
    decided = outcomes.settle(deployment, job, documents.rejected(job, reason))
    if decided.status != "rejected":
        return Verdict("ignored", job.id, decided.document, reason="duplicate")
    return Verdict("rejected", job.id, decided.document, job.kind, reason=reason.code)


def job_of(named: Upload, receipt: Receipt) -> Job:
    return Job(
        id=of_object(named.bucket, named.name, named.generation),
        document=document_of_object(named.name, named.generation),
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=named.source(),
        trace=receipt.trace,
        hops=named.hops,
    )


def check_hops(deployment: Deployment, job: Job) -> None:
    if job.hops > deployment.settings.max_hops:
        raise RejectedError("too_many_hops", f"The input went through a pipeline {job.hops} times already.")


def describe(named: Upload) -> Upload:
    """The upload with what its object's metadata says; as it came when the object is gone, which reading it tells."""
    blob = storage.bucket(named.bucket).get_blob(named.name, generation=named.generation)
    return named if blob is None else Upload.of_blob(blob)


def _launched(deployment: Deployment, reserved: Verdict | Reserved) -> Verdict:
    return launch(deployment, reserved) if isinstance(reserved, Reserved) else reserved


def _reserve(deployment: Deployment, job: Job, work: Work, held: Claim | None) -> Verdict | Reserved:
    logs.bind(job=job.id)
    claims = Claims(deployment.work, deployment.settings.claim_lease)
    claim = claims.take_over(held, job.event_id) if held else claims.acquire(job.id, job.event_id)
    if claim is None:
        return Verdict("ignored", job.id, job.document, reason="duplicate")
    with releasing(claims, claim):
        worked = _attempt(deployment, job, work)
    if isinstance(worked, Job):
        return Reserved(worked, claim)
    claims.confirm(claim, None)
    return worked


def _started(deployment: Deployment, job: Job) -> Verdict:
    try:
        execution = execute(deployment, job)
    except RejectedError as reason:
        return refuse(deployment, job, reason)
    return Verdict("accepted", job.id, job.document, job.kind, execution)


def _attempt(deployment: Deployment, job: Job, work: Work) -> Verdict | Job:
    """The job when it needs an execution; the verdict when it has come to its end already."""
    try:
        ready = work(job)
        if isinstance(ready, Job):
            return ready
        decided = outcomes.settle(deployment, ready.job, ready.document)
    except RejectedError as reason:
        return refuse(deployment, job, reason)
    return Verdict("accepted", job.id, decided.document, ready.job.kind)


def _routed(deployment: Deployment, job: Job, named: Upload) -> Job:
    """Reads at most 64 KB, and nothing of an object that no kind would accept."""
    source = job.object_input()
    check_hops(deployment, job)
    objects.check_size(source, max(deployment.settings.max_bytes.values()))
    model, asked = parameters.of_metadata(named.metadata)
    if named.size is None:  # nobody could say what it is
        raise objects.gone(source)
    if source.size == 0:
        raise RejectedError("empty", "The input is empty.")
    head = objects.head(source)
    kind = kinds.of(source, head)
    objects.check_size(source, deployment.settings.max_bytes[kind], kind)
    routed = replace(job, kind=kind, model=model, parameters=asked)
    return sidecars.apply(routed) if kind in WITH_SIDECARS else routed
