"""Keeps instances inline while they fit into the workflow's variables, and stages the others in the work bucket."""

import base64
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipeline.inputs.single import Instance
from pipeline.jobs.job import Job
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

INLINE_BYTES = 64 * 1024  # of all instances of a request together; an execution's variables hold 512 KB


def fitted(work: "Bucket", job: Job, instances: Iterable[Instance]) -> list[Instance]:
    sent: list[Instance] = []
    room = INLINE_BYTES
    for index, instance in enumerate(instances):
        size = len(json.dumps(instance))
        sent.append(instance if size <= room else stage(work, job, instance, index))
        room -= size if size <= room else 0
    return sent


def stage(work: "Bucket", job: Job, instance: Instance, index: int = 0) -> Instance:
    """Writes an instance's text, pair of texts or image as an object, and returns the instance that refers to it."""
    if "text_pair" in instance:
        data, extension = json.dumps(instance, ensure_ascii=False).encode(), "pair.json"
    elif "text" in instance:
        data, extension = instance["text"].encode(), "txt"
    else:
        data, extension = base64.b64decode(instance["image"]["b64"]), "image"
    name = f"staged/{job.id}/{index:03}.{extension}"
    put(work.blob(name), data, stamp(job.id), generation=None)
    return {"uri": f"gs://{work.name}/{name}"}
