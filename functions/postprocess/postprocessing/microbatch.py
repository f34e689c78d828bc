"""Concludes a micro-batch: each member comes to its own terminal document, as if it had had its own execution."""

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound

from pipeline import logs, schema
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError
from pipeline.inputs import microbatches
from pipeline.jobs import batches
from pipeline.jobs.batches import Batch
from pipeline.jobs.job import MICROBATCH, Job
from postprocessing import results

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a finished shard says of one member: what `/predict` would have answered, and the service's revision."""

    prediction: dict[str, Any]
    revision: str


def is_asked(body: Mapping[str, Any]) -> bool:
    """Whether a body is about a micro-batch's execution."""
    argument = body.get("argument")
    return isinstance(argument, dict) and argument.get("kind") == MICROBATCH


def conclude(deployment: Deployment, body: dict[str, Any]) -> dict[str, Any]:
    """Writes the terminal documents of the members of `{argument, batch | error, lineage}`.

    Called again, it writes what the first call left undone.

    Raises:
        MalformedError: the body is not of that shape.
        RejectedError: the micro-batch's object is gone; the sweep starts its members alone.
    """
    job = Job.parse(body.get("argument"))
    if "progress" in body:
        return {}
    given, lineage = body.get("batch") or {}, body.get("lineage")
    error = body.get("error")
    if not isinstance(lineage, dict) or bool(given) == bool(error):
        raise MalformedError("The body must hold one of batch and error, and lineage.")
    predicted = {} if error else _predicted(deployment.work, job, given)
    error = error or (given.get("errors") or [results.LOST])[0]

    def concluded(member: Job) -> str:
        outcome: dict[str, Any] = {"error": error}
        if found := predicted.get(member.id):
            outcome = {"prediction": found.prediction}
            revisions = {**lineage.get("service_revisions", {}), "gpu_service": found.revision}
            outcome["lineage"] = {**lineage, "service_revisions": revisions}
        answer = results.conclude(deployment, {"argument": member.argument(), "lineage": lineage} | outcome)
        status: str = answer["status"]
        with logs.bound(job=member.id):
            logs.info("concluded", microbatch=job.id, status=status)
        return status

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        counts = Counter(pool.map(concluded, microbatches.members(deployment.work, job)))
    return {"status": _status(counts), "document": job.object_input().uri, "job": job.id, "members": dict(counts)}


def _predicted(work: "Bucket", job: Job, given: dict[str, Any]) -> dict[str, Predicted]:
    """By member; those of a shard without output are missing."""
    schema.check("batch", given)
    batch = Batch.parse(given, work, job.id)
    found: dict[str, Predicted] = {}
    for shard in range(batch.shards):
        found |= _of_shard(work, batch, shard)
    return found


def _of_shard(work: "Bucket", batch: Batch, shard: int) -> dict[str, Predicted]:
    blob = work.get_blob(batch.output(shard))
    if blob is None:
        return {}
    try:
        lines = [json.loads(line) for line in blob.download_as_bytes().splitlines()]
    except NotFound:
        return {}
    summary = json.loads(blob.metadata[batches.SUMMARY])
    succeeded = sum("error" not in line for line in lines)
    share = {
        "inference_ms": round((summary.get("inference_ms") or 0.0) / max(1, succeeded), 3),
        "gpu_seconds": round((summary.get("gpu_seconds") or 0.0) / max(1, succeeded), 9),
    }
    about = {"model": summary.get("model"), "device": summary.get("device")}
    revision = summary.get("revision") or "unknown"
    return {
        line["id"]: Predicted({"predictions": [line], "timing": {} if "error" in line else share, **about}, revision)
        for line in lines
    }


def _status(counts: Counter[str]) -> str:
    """One word for all: the execution ends as failed when no member succeeded, and not all were refused."""
    if len(counts) == 1:
        return next(iter(counts))
    return "partial" if counts["succeeded"] else "failed"
