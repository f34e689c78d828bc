"""Restarts jobs whose event, execution or document was lost, or whose failure is to be replayed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline import intake, storage, waiting
from pipeline.deployment import Deployment
from pipeline.errors import InProgressError
from pipeline.formats import json_text
from pipeline.inputs import objects
from pipeline.inputs.events import Receipt
from pipeline.inputs.pubsub import inline, kept_messages
from pipeline.inputs.uploads import Upload
from pipeline.intake import Reserved
from pipeline.jobs import batches, executions, outcomes
from pipeline.jobs.claims import WAITING, Claim, Claims
from pipeline.jobs.job import Argument, Input, Job
from pipeline.jobs.outcomes import Outcome
from pipeline.kinds import WORKBOOK
from pipeline.routing import choice
from pipeline.verdicts import Verdict

WORDS = {"accepted": "started", "rejected": "rejected", "ignored": "running", "throttled": "throttled"}


@dataclass(frozen=True, slots=True)
class Lost:
    """A job, and the way to take it in once more; `reserve` gets the claim to take over that no handler holds."""

    job: Job
    reserve: Callable[[Claim | None], Verdict | Reserved]


def of_upload(deployment: Deployment, upload: Upload, receipt: Receipt) -> Lost:
    return Lost(upload.job(receipt), lambda dead: intake.reserve(deployment, upload, receipt, dead))


def of_kept(deployment: Deployment, job: Job) -> Lost:
    """A job whose message is kept in the work bucket."""
    max_bytes = 2 * deployment.settings.max_bytes["message"]
    return Lost(
        job,
        lambda dead: intake.reserve_job(deployment, job, lambda claimed: _reread(deployment, claimed, max_bytes), dead),
    )


def of_routed(deployment: Deployment, job: Job) -> Lost:
    """A job that has been checked and routed before; rejected if its input is gone and nothing can stand in for it."""

    def work(claimed: Job) -> Job:
        if not objects.exists(claimed.object_input()) and batches.read(deployment.work, claimed.id) is None:
            raise objects.gone(claimed.object_input())
        return choice.kept(deployment.settings, claimed, claimed.model)

    return Lost(job, lambda dead: intake.reserve_job(deployment, job, work, dead))


def of_argument(deployment: Deployment, argument: Argument, receipt: Receipt) -> Lost | None:
    """A job as its claim or outcome describes it; None if its message is not kept."""
    if "bucket" not in argument["input"]:
        return None
    source = Input.parse(argument["input"])
    job = Job(
        id=argument["job"],
        document=argument["document"],
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=source,
        trace=receipt.trace,
        hops=argument.get("hops", 0),
        created_at=argument["received_at"],  # or earlier; it says whether the job may be forgotten
        notes=tuple(argument.get("notes", ())),
    )
    if argument["kind"] is None:
        return of_input(deployment, job, source, receipt)
    kind = WORKBOOK if "table" in argument else argument["kind"]  # which preprocess converts anew if its CSV is gone
    model, parameters = argument["model"], argument["parameters"]
    return of_routed(deployment, replace(job, kind=kind, model=model, parameters=parameters))


def of_input(deployment: Deployment, job: Job, source: Input, receipt: Receipt) -> Lost | None:
    """A job of which only the input is known; None if it lies outside the pipeline's buckets."""
    if source.bucket == deployment.settings.input_bucket:
        upload = Upload(source.bucket, source.name, source.generation)
        return of_upload(deployment, upload.described(), receipt)
    if not kept_messages.is_kept(deployment.work, source):
        return None
    blob = storage.bucket(source.bucket).get_blob(source.name)
    kept = None if blob is None else kept_messages.job_of(blob, receipt)
    return of_kept(deployment, kept or replace(job, input=source))


def revive(deployment: Deployment, lost: Lost) -> str:
    """Restarts a job unless it has an outcome or is running.

    Returns:
        The word under which it is counted: started, postponed (to a collection), rejected, throttled, running,
        waiting (for a collection already), or completed (it had an outcome and lacked only the document).
    """
    if outcomes.resume(deployment, lost.job):
        return "completed"
    reserved = reserve(deployment, lost)
    return reserved if isinstance(reserved, str) else word(intake.start(deployment, reserved))


def reserve(deployment: Deployment, lost: Lost, reopened: Outcome | None = None) -> str | Reserved:
    """Takes in a job without an outcome like `revive`, but leaves it to the caller to launch.

    Args:
        reopened: the job's outcome, if the caller has just reopened it.
    """
    claims = Claims(deployment.work, deployment.settings.claim_lease)
    claim = claims.read(lost.job.id)
    if claim and (claims.waits(claim) or waiting.is_noted(deployment.work, claim)):
        return "waiting"
    if claim and claim.is_taken_in and not _is_dead(deployment, claim, reopened):
        return "running"
    may_be_taken_over = claim and (claim.is_taken_in or claim.state == WAITING)
    try:
        reserved = lost.reserve(claim if may_be_taken_over else None)
    except InProgressError:
        return "running"
    return word(reserved) if isinstance(reserved, Verdict) else reserved


def word(verdict: Verdict) -> str:
    """The word under which a restarted job is counted, as `revive` returns it."""
    return "postponed" if verdict.is_waiting else WORDS[verdict.word]


def _is_dead(deployment: Deployment, claim: Claim, reopened: Outcome | None) -> bool:
    """Whether a job taken in can no longer get an outcome; reads the outcome again since it may end meanwhile."""
    before = reopened or outcomes.read(deployment.work, claim.job)
    if before and before.reopened and (claim.execution is None or before.is_over(claim.execution)):
        return True
    if claim.execution and not executions.has_ended(claim.execution, deployment.settings.execution_timeout):
        return False
    after = outcomes.read(deployment.work, claim.job)
    return after is None or after.reopened


def _reread(deployment: Deployment, job: Job, max_bytes: int) -> Job:
    """The job with what its kept message asks for."""
    body = json_text.parse(objects.read(job.object_input(), max_bytes).decode())
    if "instances" not in body:
        return intake.of_manifest(deployment, replace(job, kind="manifest"))
    instances = inline.parse(body)
    return intake.of_instances(deployment, job, instances)
