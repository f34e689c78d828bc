"""Brings a job on its way again whose event, execution or document was lost, or whose failure is to be replayed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline import intake, storage
from pipeline.deployment import Deployment
from pipeline.errors import InProgressError
from pipeline.formats import json_text
from pipeline.inputs import inline, kept_messages, objects
from pipeline.inputs.events import Receipt, Upload
from pipeline.intake import Verdict
from pipeline.jobs import outcomes
from pipeline.jobs.claims import STARTED, Claim, Claims
from pipeline.jobs.executions import has_ended
from pipeline.jobs.job import Input, Job

WORDS = {"accepted": "started", "rejected": "rejected", "ignored": "running", "throttled": "throttled"}


@dataclass(frozen=True, slots=True)
class Lost:
    """A job, and how it is taken in once more; `restart` is given the dead claim that it takes over."""

    job: Job
    restart: Callable[[Claim | None], Verdict]


def of_upload(deployment: Deployment, named: Upload, receipt: Receipt) -> Lost:
    return Lost(intake.job_of(named, receipt), lambda dead: intake.upload(deployment, named, receipt, dead))


def of_kept(deployment: Deployment, job: Job) -> Lost:
    """A message that lies in the work bucket."""
    return Lost(job, lambda dead: intake.process(deployment, job, lambda claimed: _reread(deployment, claimed), dead))


def of_argument(deployment: Deployment, job: Job) -> Lost:
    """A job that has been checked and routed before."""
    return Lost(job, lambda dead: intake.process(deployment, job, lambda claimed: claimed, dead))


def of_input(deployment: Deployment, job: Job, source: Input, receipt: Receipt) -> Lost | None:
    """A job of which only the input is known; None when that lies nowhere that is read."""
    if source.bucket == deployment.settings.input_bucket:
        named = Upload(source.bucket, source.name, source.generation)
        return of_upload(deployment, intake.describe(named), receipt)
    if not kept_messages.is_kept(deployment.work, source):
        return None
    blob = storage.bucket(source.bucket).get_blob(source.name)
    kept = None if blob is None else kept_messages.job_of(blob, receipt)
    return of_kept(deployment, kept or replace(job, input=source))


def revive(deployment: Deployment, lost: Lost) -> str:
    """Restarts a job unless it is decided or on its way.

    Returns:
        The word under which it is counted: started, rejected, throttled, running, or completed (it was decided and
        lacked only its document).
    """
    job = lost.job
    if outcomes.resume(deployment, job):
        return "completed"
    held = Claims(deployment.work, deployment.settings.claim_lease).read(job.id)
    if held and held.state == STARTED and not _is_dead(deployment, held):
        return "running"
    try:
        verdict = lost.restart(held if held and held.state == STARTED else None)
    except InProgressError:
        return "running"
    return WORDS[verdict.word]


def _is_dead(deployment: Deployment, held: Claim) -> bool:
    """Whether a started job comes to no outcome any more; looked up in this order, since it may end just now."""
    before = outcomes.read(deployment.work, held.job)
    if before and before.reopened and (held.execution is None or before.is_over(held.execution)):
        return True
    if held.execution and not has_ended(held.execution, deployment.settings.execution_timeout):
        return False
    now = outcomes.read(deployment.work, held.job)
    return now is None or now.reopened


def _reread(deployment: Deployment, job: Job) -> Job:
    body = json_text.parse(objects.read(job.object_input(), 2 * deployment.settings.max_bytes["message"]).decode())
    if "instances" not in body:
        return replace(job, kind="manifest")
    read = inline.parse(body)
    return replace(job, kind=read.kind, model=read.model, parameters=read.parameters)
