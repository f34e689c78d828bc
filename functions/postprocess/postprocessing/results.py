"""Concludes a job: from a prediction, a batch's summaries or an error to its one terminal document."""

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pipeline import schema
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, RejectedError
from pipeline.jobs import batches, documents, outcomes
from pipeline.jobs.batches import Batch, Summary
from pipeline.jobs.documents import Document, Lineage, Usage
from pipeline.jobs.job import BATCHED, Job
from pipeline.jobs.outcomes import Outcome
from pipeline.settings import Settings
from postprocessing import merge, progress

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

Given = Literal["prediction", "batch", "error"]
GIVEN: tuple[Given, ...] = ("prediction", "batch", "error")
MODEL_FIELDS = ("name", "version", "task", "source", "revision")
PREDICTION_FIELDS = ("label", "score", "scores", "error")
FORECAST_FIELDS = ("series", "backtest")
NOT_OURS = (  # say that we called wrongly, or that a shard is gone, not that the input is wrong
    "malformed_request",
    "method_not_allowed",
    "not_found",
    "object_not_found",
    "bucket_not_allowed",
    "invalid_uri",
)
AGAIN = (408, 429)
FAULTS = (  # of the GPU service's, in place of a prediction; every other code says what is wrong with the instance
    "inference_failed",
    "storage_failed",
    "internal",
    "overloaded",
    "unavailable",
    "deadline_exceeded",
)
LOST = {"code": "shard_lost", "message": "The shard came to no output.", "step": "predict_shards"}


def conclude(deployment: Deployment, body: dict[str, Any]) -> dict[str, Any]:
    """Writes the terminal document of `{argument, prediction | batch | error, lineage}`.

    Called again, it answers with the document that the first call wrote, whatever it is given.

    Raises:
        MalformedError: the body is not of that shape.
    """
    job = Job.parse(body.get("argument"))
    lineage = Lineage.parse(body.get("lineage"))
    given = [key for key in GIVEN if body.get(key) is not None]
    if len(given) != 1 or not isinstance(body[given[0]], dict):
        raise MalformedError("The body must hold one of prediction, batch and error, an object.")
    revisions = {**lineage.service_revisions, "postprocess": deployment.settings.revision}
    lineage = replace(lineage, service_revisions=revisions)
    try:
        outcome = _conclude(deployment, job, lineage, given[0], body[given[0]])
    except RejectedError as reason:
        outcome = outcomes.settle(deployment, job, documents.rejected(job, reason, lineage))
    if given[0] == "error" and job.kind in BATCHED and (cut := batches.read(deployment.work, job.id)):
        summary = batches.summarise(deployment.work, cut)
        progress.write(deployment.output, job, cut, summary, lineage.started_at, status=outcome.status)
    return {
        "status": outcome.status,
        "document": f"gs://{deployment.settings.output_bucket}/{outcome.document}",
        "job": job.id,
    }


def _conclude(deployment: Deployment, job: Job, lineage: Lineage, key: Given, given: Document) -> Outcome:
    if key == "error":
        return outcomes.settle(deployment, job, _of_error(deployment.settings, job, lineage, given))
    shape = "forecast" if key == "prediction" and job.kind == "timeseries" else key
    schema.check(shape, given)
    if shape == "prediction":
        return outcomes.settle(deployment, job, _of_prediction(deployment.settings, job, lineage, given))
    # What has data beside it is staged first, which an earlier call may have done already.
    if decided := outcomes.resume(deployment, job):
        return decided
    if shape == "forecast":
        return outcomes.settle(deployment, job, *_of_forecast(deployment, job, lineage, given))
    return outcomes.settle(deployment, job, *_of_batch(deployment, job, lineage, given))


def _of_error(settings: Settings, job: Job, lineage: Lineage, error: Document) -> Document:
    status, code, step = error.get("status"), error.get("code"), error.get("step")
    is_refusal = isinstance(status, int) and 400 <= status < 500 and status not in AGAIN
    if is_refusal and isinstance(code, str) and code and code not in NOT_OURS:
        raise RejectedError(code, _text(error))
    described = {"code": _code(error), "message": _text(error), "step": str(step or "unknown")}
    return documents.failed(job, described, lineage, replay=documents.replay(settings.messages_topic, job.document))


def _code(error: Document) -> str:
    code, status = error.get("code"), error.get("status")
    if isinstance(code, str) and code:
        return code
    return f"http_{status}" if status else "execution_error"


def _text(error: Document) -> str:
    message = error.get("message")
    return message if isinstance(message, str) else json.dumps(message)


def _of_prediction(settings: Settings, job: Job, lineage: Lineage, answer: Document) -> Document:
    predictions = [_pick(prediction, PREDICTION_FIELDS) for prediction in answer["predictions"]]
    errors = [prediction["error"] for prediction in predictions if "error" in prediction]
    if len(errors) == len(predictions):
        fault = next((error for error in errors if error["code"] in FAULTS), None)
        status = 500 if fault else 400
        return _of_error(settings, job, lineage, {**(fault or errors[0]), "status": status, "step": "predict"})
    timing = answer.get("timing") or {}
    return documents.result(
        job,
        replace(lineage, device=answer.get("device")),
        Usage(timing.get("queue_ms"), timing.get("inference_ms"), timing.get("gpu_seconds") or 0.0),
        {"predictions": predictions},
        status="partial" if errors else "succeeded",
        model=_model(answer),
        confidence=min(prediction["score"] for prediction in predictions if "score" in prediction),
        gpu_usd_per_second=settings.gpu_usd_per_second,
    )


def _of_forecast(deployment: Deployment, job: Job, lineage: Lineage, answer: Document) -> tuple[Document, str]:
    rows = answer["predictions"]
    staged = merge.forecast(deployment.work, job, rows)
    timing = answer.get("timing") or {}
    payload = {"data": _data(deployment.output, job, staged, len(rows), {})}
    if forecast := _pick(answer, FORECAST_FIELDS):
        payload["forecast"] = forecast
    document = documents.result(
        job,
        replace(lineage, device=answer.get("device")),
        Usage(timing.get("queue_ms"), timing.get("inference_ms")),
        payload,
        status="succeeded",
        model=_model(answer),
        confidence=None,
        gpu_usd_per_second=deployment.settings.gpu_usd_per_second,
    )
    return document, staged


def _of_batch(deployment: Deployment, job: Job, lineage: Lineage, given: Document) -> tuple[Document, str | None]:
    batch = Batch.parse(given, deployment.work, job.id)
    summary = batches.summarise(deployment.work, batch)
    lost = [shard for shard in range(batch.shards) if shard not in summary.shards]
    error = (given.get("errors") or [LOST])[0]
    if not summary.shards:
        return _of_error(deployment.settings, job, lineage, error), None
    reason = {"code": _code(error), "message": _text(error)}
    staged, errors = merge.batch(deployment.work, job, batch, lost, reason)
    data = _batch_data(deployment.output, job, lineage, batch, summary, staged, errors)
    if lost:
        data["lost"] = [_range(batch, shard) | reason for shard in lost]
    status = "partial" if data["failed"] else "succeeded"
    document = documents.result(
        job,
        replace(lineage, device=summary.device, service_revisions=_revisions(lineage, summary)),
        Usage(inference_ms=summary.inference_ms, gpu_seconds=summary.gpu_seconds),
        {"data": data}
        | (
            {"replay": documents.replay(deployment.settings.messages_topic, job.document, partial=True)} if lost else {}
        ),
        status=status,
        model=_model({"model": summary.model}),
        confidence=None,
        gpu_usd_per_second=deployment.settings.gpu_usd_per_second,
    )
    progress.write(deployment.output, job, batch, summary, lineage.started_at, status=status)
    return document, staged


def _batch_data(
    output: "Bucket",
    job: Job,
    lineage: Lineage,
    batch: Batch,
    summary: Summary,
    staged: str,
    errors: dict[str, int],
) -> Document:
    counted = dict(Counter(summary.errors) + Counter(errors))
    rate = progress.rate(batch.records, lineage.started_at)
    return {
        **_data(output, job, staged, batch.records, counted),
        "shards": batch.shards,
        "records_per_second": rate,
    }


def _range(batch: Batch, shard: int) -> Document:
    first = shard * batch.records_per_shard
    return {"first": first, "last": first + batch.size(shard) - 1}


def _revisions(lineage: Lineage, summary: Summary) -> dict[str, str]:
    return {**lineage.service_revisions, "gpu_service": ", ".join(summary.revisions)}


def _data(output: "Bucket", job: Job, staged: str, records: int, errors: dict[str, int]) -> Document:
    name = outcomes.name(job, "succeeded", staged.rpartition(".")[2])
    failed = sum(errors.values())
    return {
        "uri": f"gs://{output.name}/{name}",
        "records": records,
        "succeeded": records - failed,
        "failed": failed,
        "errors": errors,
    }


def _model(answer: Document) -> Document:
    model = answer.get("model") or {}
    return {field: model.get(field) for field in MODEL_FIELDS}


def _pick(fields: Document, names: tuple[str, ...]) -> Document:
    return {name: fields[name] for name in names if name in fields}
