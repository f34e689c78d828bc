"""Tells how far a batch is: `status/<job>.json` in the output bucket."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.deployment import Deployment
from pipeline.inputs.events import now
from pipeline.jobs import batches
from pipeline.jobs.batches import Batch, Summary
from pipeline.jobs.documents import Lineage
from pipeline.jobs.job import Job
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


def report(deployment: Deployment, body: dict[str, Any]) -> dict[str, Any]:
    """Writes how far the batch of `{argument, progress, lineage}` is, and answers with that.

    Raises:
        MalformedError: the body is not of that shape.
    """
    job = Job.parse(body.get("argument"))
    lineage = Lineage.parse(body.get("lineage"))
    batch = Batch.parse(body.get("progress"), deployment.work, job.id)
    return write(deployment.output, job, batch, batches.summarise(deployment.work, batch), lineage.started_at)


def write(
    output: "Bucket", job: Job, batch: Batch, summary: Summary, started_at: str | None, *, status: str | None = None
) -> dict[str, Any]:
    """Writes the status; `status` is that of the terminal document, None while there is none."""
    per_second = rate(summary.records, started_at)
    left = batch.records - summary.records
    content = {
        "schema": "status/v1",
        "job": job.id,
        "document": job.document,
        "state": "running" if status is None else "done",
        "status": status,
        "records": {"total": batch.records, "done": summary.records, "failed": summary.failed},
        "shards": {"total": batch.shards, "done": len(summary.shards)},
        "records_per_second": per_second,
        "remaining_seconds": round(left / per_second, 1) if status is None and per_second else None,
        "updated_at": now(),
    }
    blob = output.blob(f"status/{job.id}.json")
    put(blob, json.dumps(content, indent=2) + "\n", stamp(job.id), generation=None)
    return content


def rate(records: int, started_at: str | None) -> float | None:
    """Records per second since the execution began; None when that is unknown or this very moment."""
    if started_at is None:
        return None
    seconds = (datetime.now(UTC) - datetime.fromisoformat(started_at)).total_seconds()
    return round(records / seconds, 3) if seconds > 0 else None
