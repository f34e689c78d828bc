"""Prepares a job's instances: inline if they are small, else staged and referenced, or cut into shards."""

import json
from typing import TYPE_CHECKING, Any

from pipeline.deployment import Deployment
from pipeline.errors import MalformedError
from pipeline.inputs import microbatches, objects, parameters
from pipeline.inputs.pubsub import kept_messages
from pipeline.inputs.single import Instance
from pipeline.jobs.job import Job
from pipeline.kinds import SINGLE, WORKBOOK
from pipeline.settings import Settings
from preprocessing import conversion, handover, shards, single, staging

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


def prepare(deployment: Deployment, body: dict[str, Any]) -> dict[str, Any]:
    """Prepares the input of a job's argument.

    Returns:
        `{mode: "single", instances, parameters, revision}`, `{mode: "batch", revision}` with the batch's fields,
        `{mode: "converted", argument, revision}` with the argument by which a workbook is to go on, or
        `{mode: "cut", argument, revision}` with the URI by which the cut job reads a batch that is very large.

    Raises:
        MalformedError: the body is not a job's argument, or its kind needs no preparation.
        RejectedError: the input can never be predicted on.
    """
    job = Job.parse(body)
    source, settings, work = job.object_input(), deployment.settings, deployment.work
    is_message = kept_messages.is_kept(work, source) and source.name == f"messages/{job.id}.json"
    if is_message and job.kind != "manifest":
        answer = _single(work, job, _of_message(settings, job))
    elif source.bucket != settings.input_bucket and not (is_message or microbatches.is_kept(work, job)):
        raise MalformedError(f"Inputs are not read from the bucket {source.bucket!r}.")
    elif job.kind in SINGLE:
        answer = _single(work, job, [single.instance(settings, job)])
    elif job.kind == WORKBOOK:
        answer = conversion.converted(deployment, job)
    else:
        answer = handover.order(deployment, job) or shards.cut(deployment, job)
    return {**answer, "revision": settings.revision}


def _of_message(settings: Settings, job: Job) -> list[Instance]:
    data = objects.read(job.object_input(), 2 * settings.max_bytes["message"])
    instances: list[Instance] = json.loads(data)["instances"]
    return instances


def _single(work: "Bucket", job: Job, instances: list[Instance]) -> dict[str, Any]:
    own = parameters.of_reader("gpu_service", job.parameters)
    return {"mode": "single", "instances": staging.fitted(work, job, instances), "parameters": own}
