"""Messages kept as objects of the work bucket: what was inline becomes an input like an uploaded one.

The object's metadata say which document the message ends in, so that a sweep finds those that came to none.
"""

import json
from typing import TYPE_CHECKING, Any

from pipeline import storage
from pipeline.inputs.events import Receipt
from pipeline.jobs.job import Input, Job
from pipeline.storage import content_type, put_once

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

FOLDER = "messages/"
DOCUMENT = "document"


def keep(work: "Bucket", job: Job, body: dict[str, Any]) -> Input:
    """Writes a checked message once; the same object again for the same job."""
    data = json.dumps(body, separators=(",", ":")).encode()
    blob = work.blob(f"{FOLDER}{job.id}.json")
    put_once(blob, data, storage.stamp(job.id, hops=job.hops) | {DOCUMENT: job.document})
    return Input(work.name, blob.name, blob.generation, len(data), content_type(blob.name))


def is_kept(work: "Bucket", source: Input) -> bool:
    return source.bucket == work.name and source.name.startswith(FOLDER)


def job_of(blob: "Blob", receipt: Receipt) -> Job | None:
    """The job of a kept message, not yet read; None when the object says of no document."""
    metadata = blob.metadata or {}
    document = metadata.get(DOCUMENT)
    if not document:
        return None
    source = Input(blob.bucket.name, blob.name, blob.generation, blob.size, blob.content_type)
    return Job(
        id=blob.name.removeprefix(FOLDER).removesuffix(".json"),
        document=document,
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=source,
        trace=receipt.trace,
        hops=storage.hops(metadata),
    )
