"""Prepares a job's instances: inline if they are small, else staged and referenced, or cut into shards."""

import base64
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.inputs import kept_messages, microbatches, objects, parameters
from pipeline.jobs.job import Job
from pipeline.kinds import SINGLE
from pipeline.settings import Settings
from pipeline.storage import put, stamp
from preprocessing import shards, single
from preprocessing.single import Instance

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

INLINE_BYTES = 64 * 1024  # of all instances of a request together; an execution's variables hold 512 KB


def prepare(deployment: Deployment, body: dict[str, Any]) -> dict[str, Any]:
    """Prepares the input of a job's argument.

    Returns:
        `{mode: "single", instances, parameters, revision}`, or `{mode: "batch", revision}` with the batch's fields.

    Raises:
        MalformedError: the body is not a job's argument, or its kind needs no preparation.
        RejectedError: the input can never be predicted on.
    """
    job = Job.parse(body)
    source, settings, work = job.object_input(), deployment.settings, deployment.work
    is_message = kept_messages.is_kept(work, source) and source.name == f"messages/{job.id}.json"
    if is_message and job.kind != "manifest":
        answer = _single(_of_message(settings, job), job, work)
    elif source.bucket != settings.input_bucket and not (is_message or microbatches.is_kept(work, job)):
        raise MalformedError(f"Inputs are not read from the bucket {source.bucket!r}.")
    elif job.kind in SINGLE:
        answer = _single([single.instance(settings, job, single.fetch(settings, job))], job, work)
    else:
        answer = shards.cut(deployment, job)
    return {**answer, "revision": settings.revision}


def _of_message(settings: Settings, job: Job) -> list[Instance]:
    data = objects.read(job.object_input(), 2 * settings.max_bytes["message"])
    staged: list[Instance] = json.loads(data)["instances"]
    if job.kind == "text":
        return staged
    return [_of_inline_image(settings.image_size, instance, index) for index, instance in enumerate(staged)]


def _of_inline_image(size: int, instance: Instance, index: int) -> Instance:
    try:
        return single.of_image(base64.b64decode(instance["image"]["b64"]), size)
    except RejectedError as error:
        raise RejectedError(error.code, f"Instance {index}: {error.message}") from error


def _single(instances: Iterable[Instance], job: Job, work: "Bucket") -> dict[str, Any]:
    """Keeps instances inline while they fit into the request's budget, and stages the others."""
    sent: list[Instance] = []
    room = INLINE_BYTES
    for index, instance in enumerate(instances):
        size = len(json.dumps(instance))
        sent.append(instance if size <= room else _stage(work, job, index, instance))
        room -= size if size <= room else 0
    return {"mode": "single", "instances": sent, "parameters": parameters.of_reader("gpu_service", job.parameters)}


def _stage(work: "Bucket", job: Job, index: int, instance: Instance) -> Instance:
    if "text" in instance:
        data, extension = instance["text"].encode(), "txt"
    else:
        data = base64.b64decode(instance["image"]["b64"])
        extension = "png" if data.startswith(b"\x89PNG") else "jpg"
    name = f"staged/{job.id}/{index:03}.{extension}"
    put(work.blob(name), data, stamp(job.id), generation=None)
    return {"uri": f"gs://{work.name}/{name}"}
