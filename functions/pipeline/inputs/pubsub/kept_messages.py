"""Messages kept as objects of the work bucket, so that inline instances become an input like an upload.

An object's metadata hold the name of the document that the message ends in: with it a sweep finds unfinished messages.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline import storage
from pipeline.inputs.events import Receipt
from pipeline.jobs.job import Input, Job
from pipeline.storage import content_type, put_once

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

FOLDER = "messages/"
DOCUMENT = "document"


def keep(work: "Bucket", job: Job, body: Mapping[str, object]) -> Input:
    """Writes a checked message; calling it again for the same job changes nothing."""
    data = json.dumps(body, separators=(",", ":")).encode()
    blob = work.blob(f"{FOLDER}{job.id}.json")
    put_once(blob, data, storage.stamp(job.id, hops=job.hops) | {DOCUMENT: job.document})
    return Input(work.name, blob.name, blob.generation, len(data), content_type(blob.name))


def is_kept(work: "Bucket", source: Input) -> bool:
    return source.bucket == work.name and source.name.startswith(FOLDER)


def job_of(blob: "Blob", receipt: Receipt) -> Job | None:
    """The job of a kept message, without reading it; None if the object's metadata lack the document's name."""
    metadata = blob.metadata or {}
    document = metadata.get(DOCUMENT)
    if not document:
        return None
    return Job(
        id=blob.name.removeprefix(FOLDER).removesuffix(".json"),
        document=document,
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=Input(blob.bucket.name, blob.name, blob.generation, blob.size, blob.content_type),
        trace=receipt.trace,
        hops=storage.hops(metadata),
    )
