"""Hands the cutting of a very large batch over to the cut job, and tells the function why a batch was refused there."""

import json
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound

from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.inputs import objects
from pipeline.jobs import batches
from pipeline.jobs.batches import Names
from pipeline.jobs.job import Job
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

MOST_EXPANDED = 1032  # times its size that gzip can unpack to


def order(deployment: Deployment, job: Job) -> dict[str, Any] | None:
    """What the workflow runs the cut job with: `{mode: "cut", argument}`; None if the function cuts the batch.

    Raises:
        RejectedError: the cut job refused the batch, or the input is gone.
    """
    limit, work = deployment.settings.cut_job_bytes, deployment.work
    if not limit or job.kind not in ("table", "records") or job.table is not None:
        return None
    source = objects.measured(job.object_input())
    if MOST_EXPANDED * source.size <= limit:
        return None
    packed = objects.head(source).packed
    if objects.expected_size(source, packed=packed) <= limit or batches.read(work, job.id) is not None:
        return None
    if refusal := _refusal(work, job):
        raise refusal
    argument = work.blob(Names.of(job.id).argument)
    put(argument, json.dumps(job.argument()), stamp(job.id), generation=None)
    return {"mode": "cut", "argument": f"gs://{work.name}/{argument.name}"}


def ordered(deployment: Deployment, uri: str) -> Job:
    """The job that an order names. Raises MalformedError if it names none."""
    prefix = f"gs://{deployment.work.name}/"
    if not uri.startswith(prefix):
        raise MalformedError(f"The argument must be an object in the work bucket, not {uri!r}.")
    try:
        content = deployment.work.blob(uri.removeprefix(prefix)).download_as_bytes()
    except NotFound as error:
        raise MalformedError(f"{uri} does not exist.") from error
    return Job.parse(json.loads(content))


def refuse(deployment: Deployment, job: Job, refusal: RejectedError) -> None:
    """Keeps why a batch can never be cut."""
    content = {"code": refusal.code, "message": refusal.message, "kind": refusal.kind}
    put(deployment.work.blob(Names.of(job.id).refusal), json.dumps(content), stamp(job.id), generation=None)


def _refusal(work: "Bucket", job: Job) -> RejectedError | None:
    try:
        content = json.loads(work.blob(Names.of(job.id).refusal).download_as_bytes())
    except NotFound:
        return None
    return RejectedError(content["code"], content["message"], content["kind"])
