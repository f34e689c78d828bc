"""Reports the progress of a batch: `status/<job>.json` in the output bucket."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import PreconditionFailed

from pipeline.deployment import Deployment
from pipeline.jobs import batches, outcomes
from pipeline.jobs.batches import Batch
from pipeline.jobs.documents import Lineage
from pipeline.jobs.job import Job
from pipeline.jobs.outcomes import Outcome
from pipeline.storage import put, stamp
from pipeline.times import timestamp


def report(deployment: Deployment, body: dict[str, Any]) -> dict[str, Any]:
    """Writes the status of the batch in `{argument, progress, lineage}` and returns it.

    Raises:
        MalformedError: the body does not have that shape.
    """
    job = Job.parse(body.get("argument"))
    lineage = Lineage.parse(body.get("lineage"))
    batch = Batch.parse(body.get("progress"), deployment.work, job.id)
    # Looked up before the outcome: a late report must not replace the status of an outcome settled meanwhile.
    present = deployment.output.get_blob(_name(job))
    outcome = outcomes.read(deployment.work, job.id)
    status = _status(deployment, job, batch, lineage, outcome)
    with contextlib.suppress(PreconditionFailed):
        _write(deployment, job, status, generation=present.generation if present else 0)
    return status


def finish(deployment: Deployment, job: Job, lineage: Lineage, outcome: Outcome) -> None:
    """Writes the status of a batch whose outcome is settled; does nothing if none was cut or a replay is running."""
    batch = batches.read(deployment.work, job.id)
    if batch is not None and not outcome.reopened:
        _write(deployment, job, _status(deployment, job, batch, lineage, outcome), generation=None)


def rate(records: int, started_at: str | None) -> float | None:
    """Records per second since the execution started; None if that is unknown or no time has passed."""
    if started_at is None:
        return None
    seconds = (datetime.now(UTC) - datetime.fromisoformat(started_at)).total_seconds()
    return round(records / seconds, 3) if seconds > 0 else None


def _status(
    deployment: Deployment, job: Job, batch: Batch, lineage: Lineage, outcome: Outcome | None
) -> dict[str, Any]:
    summary = batches.summarise(deployment.work, batch)
    settled = outcome.status if outcome and not outcome.reopened else None
    per_second = rate(summary.records, lineage.started_at)
    remaining = batch.records - summary.records
    return {
        "schema": "status/v1",
        "job": job.id,
        "document": job.document,
        "state": "done" if settled else "running",
        "status": settled,
        "records": {"total": batch.records, "done": summary.records, "failed": summary.failed},
        "shards": {"total": batch.shards, "done": len(summary.shards)},
        "records_per_second": per_second,
        "remaining_seconds": round(remaining / per_second, 1) if per_second and not settled else None,
        "updated_at": timestamp(),
    }


def _write(deployment: Deployment, job: Job, status: dict[str, Any], *, generation: int | None) -> None:
    blob = deployment.output.blob(_name(job))
    put(blob, json.dumps(status, indent=2) + "\n", stamp(job.id), generation=generation)


def _name(job: Job) -> str:
    return f"status/{job.id}.json"
