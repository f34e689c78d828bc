"""The intake of inputs: identify the job, claim it, route it, and start its execution or write its document.

upload  = reserve (identify, claim, route) + launch
take_in = the same for a job that a message or a dead letter describes

An upload that may wait is not launched: a collection starts it together with others.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pipeline import logs, tenants, times, waiting
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError, ThrottledError
from pipeline.inputs import facts, objects, parameters, recognition, sidecars, single
from pipeline.inputs.events import Receipt
from pipeline.inputs.objects import Head
from pipeline.inputs.pubsub import inline
from pipeline.inputs.pubsub.inline import Inline
from pipeline.inputs.uploads import Upload
from pipeline.jobs import executions, outcomes
from pipeline.jobs.claims import Claim, Claims
from pipeline.jobs.documents import Document
from pipeline.jobs.job import Input, Job, on_endpoint
from pipeline.kinds import WORKBOOK
from pipeline.labels import files
from pipeline.routing import choice
from pipeline.settings import Settings
from pipeline.tabular.request import Request
from pipeline.verdicts import Verdict

Work = Callable[[Job], Job | Document]
"""Completes a claimed job for its execution, or returns its terminal document if it needs none."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """A claimed and routed job, whose execution the caller starts before it confirms the claim."""

    job: Job
    claim: Claim


def upload(deployment: Deployment, upload: Upload, receipt: Receipt, dead: Claim | None = None) -> Verdict:
    """Takes in an object of the input bucket.

    Args:
        dead: the claim to take over, of an execution that ended without an outcome, or of an input that waits.

    Raises:
        MalformedError: the object is in another bucket.
        InProgressError: another handler has just claimed it.
    """
    reserved = reserve(deployment, upload, receipt, dead)
    return reserved if isinstance(reserved, Verdict) else start(deployment, reserved)


def reserve(deployment: Deployment, upload: Upload, receipt: Receipt, dead: Claim | None = None) -> Verdict | Reserved:
    """Takes in an object like `upload`, but leaves it to the caller to launch, alone or together with others."""
    if upload.is_stamped:
        return Verdict("ignored", reason="written by the pipeline")
    if upload.bucket != deployment.settings.input_bucket:
        raise MalformedError(f"{upload.bucket!r} is not the input bucket.")
    described = upload.described()
    if not described.is_input:
        return Verdict("ignored", reason="a folder, or parameters of another input")
    if files.is_labels(described.name):
        return reserve_job(deployment, described.job(receipt), lambda job: files.take_in(deployment, job), dead)
    reserved = reserve_job(
        deployment, described.job(receipt), lambda job: _route(deployment.settings, job, described), dead
    )
    if dead is None or isinstance(reserved, Verdict):
        return reserved
    return replace(reserved, job=replace(reserved.job, due=None))  # it has waited


def take_in(deployment: Deployment, job: Job, work: Work, dead: Claim | None = None) -> Verdict:
    """Takes in a job that is already identified; `dead` as in `upload`.

    Raises:
        InProgressError: another handler has just claimed it.
    """
    reserved = reserve_job(deployment, job, work, dead)
    return reserved if isinstance(reserved, Verdict) else launch(deployment, reserved)


def start(deployment: Deployment, reserved: Reserved) -> Verdict:
    """Launches a reserved job by itself, unless it may wait."""
    if may_wait(reserved.job):
        return wait(deployment, reserved)
    return launch(deployment, replace(reserved, job=replace(reserved.job, due=None)))


def launch(deployment: Deployment, reserved: Reserved) -> Verdict:
    """Starts a reserved job's own execution. If none is left, the job waits: for a collection, or for a sweep."""
    job, claims = reserved.job, _claims(deployment)
    with claims.releasing(reserved.claim):
        try:
            verdict = _start(deployment, job)
        except ThrottledError as reason:
            if waiting.is_possible(deployment.settings, job):
                return _wait(deployment, reserved.claim, replace(job, due=times.timestamp()))
            claims.postpone(reserved.claim, job)
            return throttled(job, reason)
    claims.confirm(reserved.claim, job, verdict.execution)
    return verdict


def may_wait(job: Job) -> bool:
    return job.due is not None and times.parse(job.due) > times.utc_now()


def wait(deployment: Deployment, reserved: Reserved) -> Verdict:
    """Leaves a reserved job to a collection."""
    with _claims(deployment).releasing(reserved.claim):
        return _wait(deployment, reserved.claim, reserved.job)


def _wait(deployment: Deployment, claim: Claim, job: Job) -> Verdict:
    waiting.write(deployment.work, job)
    _claims(deployment).postpone(claim, job)
    return Verdict("accepted", job.id, job.document, job.kind, reason=f"waits until {job.due}")


def of_instances(deployment: Deployment, job: Job, instances: Inline) -> Job:
    """A claimed job of a message's instances, which are kept, with its model."""
    kept = inline.stage(deployment.work, job, instances)
    return choice.routed(deployment.settings, kept, lambda: facts.of_instances(kept, instances.instances))


def of_manifest(deployment: Deployment, job: Job) -> Job:
    """A claimed job of a manifest's kept message with a model, which the manifest's own precedes in preprocess."""
    return choice.routed(deployment.settings, job, lambda: facts.of_manifest(job))


@contextmanager
def in_regions(settings: Settings, job: Job, member: Job | None = None) -> Iterator[Job]:
    """The job about to be started, with the order in which the GPU service's regions are tried.

    If the start is refused, the region that this job was to try again is left to another one.

    Args:
        member: of the job's micro-batch; it has the kind that the others have too.

    Raises:
        ThrottledError: none answers at present.
    """
    if not settings.gpu_regions or on_endpoint(job.model):
        yield job
        return
    from pipeline.routing import regions

    ordered = regions.ordered(settings, job, choice.preferred_regions(settings, member or job))
    try:
        yield ordered
    except executions.REFUSALS:
        regions.give_back(settings, ordered)
        raise


def _begin_reading(settings: Settings) -> None:
    """Begins to read what routes an input, beside the requests that come first."""
    choice.begin(settings)
    if settings.gpu_regions:
        from pipeline.routing import regions

        regions.begin(settings)


def throttled(job: Job, reason: ThrottledError) -> Verdict:
    return Verdict("throttled", job.id, job.document, reason=reason.quota)


def _claims(deployment: Deployment) -> Claims:
    return Claims(deployment.work, deployment.settings.claim_lease)


def reserve_job(deployment: Deployment, job: Job, work: Work, dead: Claim | None = None) -> Verdict | Reserved:
    """Takes in a job like `take_in`, but leaves it to the caller to launch."""
    logs.bind(job=job.id)
    if outcomes.forgotten(deployment, job, job.created_at):
        return Verdict("ignored", job.id, job.document, reason="duplicate")
    _begin_reading(deployment.settings)
    claims = _claims(deployment)
    claim = claims.take_over(dead, job) if dead else claims.acquire(job)
    if claim is None:
        return Verdict("ignored", job.id, job.document, reason="duplicate")
    with claims.releasing(claim):
        ready = _attempt(deployment, job, work)
        if dead and isinstance(ready, Job) and dead.argument["kind"] == ready.kind:
            noted = replace(ready, notes=tuple(dead.argument.get("notes", ())))
            ready = choice.kept(deployment.settings, noted, dead.argument["model"])
    if isinstance(ready, Job):
        return Reserved(ready, claim)
    claims.confirm(claim, job, None)
    return ready


def _attempt(deployment: Deployment, job: Job, work: Work) -> Job | Verdict:
    """The job if it needs an execution, else the verdict on its document."""
    try:
        ready = work(job)
        if isinstance(ready, Job):
            return ready
        decided = outcomes.settle(deployment, job, ready)
    except RejectedError as reason:
        return outcomes.reject(deployment, job, reason)
    return Verdict("accepted", job.id, decided.document, job.kind)


def _route(settings: Settings, job: Job, upload: Upload) -> Job:
    """The job with kind, model, parameters and tenant; reads at most 64 KB, and nothing of an excessive object."""
    job.check_hops(settings.max_hops)
    if upload.size is None:
        raise objects.gone(job.object_input())
    return tenants.placed(settings, route(settings, job, upload.metadata, objects.opened), upload.metadata)


def route(
    settings: Settings, job: Job, metadata: Mapping[str, str], opened: Callable[[Input, int], tuple[Input, Head]]
) -> Job:
    """The job of an upload with its kind, model and parameters; `opened` reads the object's head as `objects.opened`.

    Raises:
        RejectedError: it can never be predicted on.
    """
    model, requested = parameters.of_metadata(metadata)
    source, head = opened(job.object_input(), max(settings.max_bytes.values()))
    routed = sidecars.apply(replace(job, model=model, parameters=requested))
    request = Request.of(routed.parameters, parameters.kinds(routed.model, routed.parameters))
    kind = recognition.kind(source, head, request)
    objects.check_size(source, settings.max_bytes[kind], kind)
    if kind != WORKBOOK:  # which may be a table or a series
        parameters.check_kind(kind, routed.model, routed.parameters)
    encoding = None if kind in ("image", WORKBOOK) else recognition.guessed_encoding(source, head)
    routed = replace(routed, kind=kind, input=replace(source, encoding=encoding))
    routed = choice.routed(settings, routed, lambda: facts.of_upload(routed, head, metadata))
    return replace(routed, prepared=single.of_head(routed, head), due=waiting.due(settings, routed))


def _start(deployment: Deployment, job: Job) -> Verdict:
    try:
        is_shareable = job.due is None and waiting.is_possible(deployment.settings, job)
        if job.is_beyond_share and is_shareable:
            raise ThrottledError("TENANT_SHARE")
        execution = executions.start(
            deployment.settings, in_regions(deployment.settings, job), is_shareable=is_shareable
        )
    except RejectedError as reason:
        return outcomes.reject(deployment, job, reason)
    return Verdict("accepted", job.id, job.document, job.kind, execution)
