"""Concludes a micro-batch: each member gets its own terminal document, as if it had had its own execution."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound

from pipeline import logs, schema, waiting
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError
from pipeline.inputs import microbatches
from pipeline.jobs import batches
from pipeline.jobs.batches import Batch
from pipeline.jobs.documents import Lineage
from pipeline.jobs.job import Job
from pipeline.kinds import MICROBATCH
from postprocessing import conclusion, costs
from postprocessing.failures import SHARD_LOST, StepError

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Predicted:
    """A member's prediction as `/predict` would have answered it, and the GPU service's revision."""

    answer: dict[str, Any]
    revision: str


def is_addressed(body: Mapping[str, Any]) -> bool:
    """Whether a body is about the execution of a micro-batch."""
    argument = body.get("argument")
    return isinstance(argument, dict) and argument.get("kind") == MICROBATCH


def conclude(deployment: Deployment, body: dict[str, Any]) -> dict[str, Any]:
    """Concludes the members of the micro-batch in `{argument, batch | error, lineage}`; reports no progress.

    Returns:
        {status, document, job, members: {status: count}}; a second call concludes what the first left undone. Members
        that nothing was predicted on wait for another execution if the GPU service did not take them.

    Raises:
        MalformedError: the body does not have that shape.
        RejectedError: the micro-batch's object is gone; the sweep starts its members alone.
    """
    job = Job.parse(body.get("argument"))
    if "progress" in body:
        return {}
    lineage = Lineage.parse(body.get("lineage"))
    batch, error = body.get("batch"), body.get("error")
    if bool(batch) == bool(error) or not isinstance(batch or error, dict):
        raise MalformedError("The body must have exactly one of batch and error, and it must be an object.")
    predicted = _predicted(deployment.work, job, batch) if batch else {}
    failure: dict[str, Any] = error or ((batch or {}).get("errors") or [SHARD_LOST])[0]

    members = list(microbatches.members(deployment.work, job))
    shards = (batch or {}).get("shards", 1)
    met = StepError.parse(failure)
    is_put_back = met.is_temporary and not predicted
    if not predicted:
        conclusion.report(deployment, job, met)

    def concluded(member: Job) -> str:
        effort = costs.member(shards, len(members), waited=member.due is not None, by_job=job.run_by == "job")
        with logs.bound(job=member.id, microbatch=job.id):
            if is_put_back and waiting.put_back(deployment, member, lineage.execution):
                return "waiting"
            if prediction := predicted.get(member.id):
                revisions = {**lineage.service_revisions, "gpu_service": prediction.revision}
                own = replace(lineage, service_revisions=revisions)
                outcome = conclusion.settle(deployment, member, own, "prediction", prediction.answer, effort)
            else:
                outcome = conclusion.settle(deployment, member, lineage, "error", failure)
        return outcome.status

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        counts = Counter(pool.map(concluded, members))
    return {"status": _status(counts), "document": job.object_input().uri, "job": job.id, "members": dict(counts)}


def _predicted(work: "Bucket", job: Job, answer: dict[str, Any]) -> dict[str, Predicted]:
    """The predictions by member; those of shards without output are missing."""
    schema.check_answer("batch", answer)
    batch = Batch.parse(answer, work, job.id)
    return {member: prediction for shard in range(batch.shards) for member, prediction in _of_shard(work, batch, shard)}


def _of_shard(work: "Bucket", batch: Batch, shard: int) -> Iterator[tuple[str, Predicted]]:
    blob = work.get_blob(batch.output(shard))
    if blob is None:
        return
    try:
        lines = [json.loads(line) for line in blob.download_as_bytes().splitlines()]
    except NotFound:
        return
    summary = json.loads(blob.metadata[batches.SUMMARY])
    succeeded = max(1, sum("error" not in line for line in lines))
    share = {
        "inference_ms": round((summary.get("inference_ms") or 0.0) / succeeded, 3),
        "gpu_seconds": round((summary.get("gpu_seconds") or 0.0) / succeeded, 9),
    }
    for line in lines:
        answer = {
            "predictions": [line],
            "timing": {} if "error" in line else share,
            "model": summary.get("model"),
            "parameters": summary.get("parameters"),
            "device": summary.get("device"),
        }
        yield line["id"], Predicted(answer, summary.get("revision") or "unknown")


def _status(counts: Counter[str]) -> str:
    """One status for all: failed if no member succeeded, unless all were rejected or wait for another execution."""
    if len(counts) == 1:
        return next(iter(counts))
    if counts["waiting"] and not counts["failed"]:
        return "waiting"
    return "partial" if counts["succeeded"] else "failed"
