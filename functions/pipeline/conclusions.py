"""Concludes a job: from a prediction, a batch's summaries or an error to its one terminal document."""

import json
from dataclasses import replace
from typing import Any, Literal

from pipeline import answers, documents, merges, outcomes
from pipeline.documents import Document, Lineage, Usage
from pipeline.errors import MalformedError, RejectedError
from pipeline.jobs import Job
from pipeline.outcomes import Outcome
from pipeline.settings import Settings

Given = Literal["prediction", "batch", "error"]
GIVEN: tuple[Given, ...] = ("prediction", "batch", "error")
MODEL_FIELDS = ("name", "version", "task", "source", "revision")
PREDICTION_FIELDS = ("label", "score", "scores", "error")
FORECAST_FIELDS = ("series", "backtest")
NOT_OURS = ("malformed_request", "method_not_allowed")  # says that we called wrongly, not that the input is wrong
AGAIN = (408, 429)


def conclude(settings: Settings, body: dict[str, Any]) -> dict[str, Any]:
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
    lineage = replace(lineage, service_revisions={**lineage.service_revisions, "postprocess": settings.revision})
    try:
        outcome = _conclude(settings, job, lineage, given[0], body[given[0]])
    except RejectedError as reason:
        outcome = outcomes.settle(settings, job, documents.rejected(job, reason, lineage))
    return {
        "status": outcome.status,
        "document": f"gs://{settings.output_bucket}/{outcome.document}",
        "job": job.id,
    }


def _conclude(settings: Settings, job: Job, lineage: Lineage, key: Given, given: Document) -> Outcome:
    if key == "error":
        return outcomes.settle(settings, job, _of_error(settings, job, lineage, given))
    shape = "forecast" if key == "prediction" and job.kind == "timeseries" else key
    answers.check(shape, given)
    if shape == "prediction":
        return outcomes.settle(settings, job, _of_prediction(settings, job, lineage, given))
    # What has data beside it is staged first, which an earlier call may have done already.
    if decided := outcomes.resume(settings, job):
        return decided
    if shape == "forecast":
        return outcomes.settle(settings, job, *_of_forecast(settings, job, lineage, given))
    return outcomes.settle(settings, job, *_of_batch(settings, job, lineage, given))


def _of_error(settings: Settings, job: Job, lineage: Lineage, error: Document) -> Document:
    status, code, step = error.get("status"), error.get("code"), error.get("step")
    message = error.get("message")
    text = message if isinstance(message, str) else json.dumps(message)
    is_refusal = isinstance(status, int) and 400 <= status < 500 and status not in AGAIN
    if is_refusal and isinstance(code, str) and code and code not in NOT_OURS:
        raise RejectedError(code, text)
    known = code if isinstance(code, str) and code else f"http_{status}" if status else "execution_error"
    return documents.failed(settings, job, {"code": known, "message": text, "step": str(step or "unknown")}, lineage)


def _of_prediction(settings: Settings, job: Job, lineage: Lineage, answer: Document) -> Document:
    predictions = [_pick(prediction, PREDICTION_FIELDS) for prediction in answer["predictions"]]
    errors = [prediction["error"] for prediction in predictions if "error" in prediction]
    if len(errors) == len(predictions):
        raise RejectedError(errors[0]["code"], errors[0]["message"])
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


def _of_forecast(settings: Settings, job: Job, lineage: Lineage, answer: Document) -> tuple[Document, str]:
    rows = answer["predictions"]
    staged = merges.forecast(settings, job, rows)
    timing = answer.get("timing") or {}
    payload = {"data": _data(settings, job, staged, len(rows), {})}
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
        gpu_usd_per_second=settings.gpu_usd_per_second,
    )
    return document, staged


def _of_batch(settings: Settings, job: Job, lineage: Lineage, batch: Document) -> tuple[Document, str]:
    shards = sorted(batch["shards"], key=lambda shard: str(shard["output"]))
    staged = merges.batch(settings, job, [shard["output"] for shard in shards])
    errors: dict[str, int] = {}
    for shard in shards:
        for code, count in shard["failed"].items():
            errors[code] = errors.get(code, 0) + count
    timings = [shard.get("timing") or {} for shard in shards]
    document = documents.result(
        job,
        replace(lineage, device=shards[0].get("device")),
        Usage(
            inference_ms=sum(timing.get("inference_ms") or 0.0 for timing in timings),
            gpu_seconds=sum(timing.get("gpu_seconds") or 0.0 for timing in timings),
        ),
        {"data": _data(settings, job, staged, sum(shard["records"] for shard in shards), errors)},
        status="partial" if errors else "succeeded",
        model=_model(shards[0]),
        confidence=None,
        gpu_usd_per_second=settings.gpu_usd_per_second,
    )
    return document, staged


def _data(settings: Settings, job: Job, staged: str, records: int, errors: dict[str, int]) -> Document:
    name = outcomes.name(job, "succeeded", staged.rpartition(".")[2])
    return {
        "uri": f"gs://{settings.output_bucket}/{name}",
        "records": records,
        "failed": sum(errors.values()),
        "errors": errors,
    }


def _model(answer: Document) -> Document:
    model = answer.get("model") or {}
    return {field: model.get(field) for field in MODEL_FIELDS}


def _pick(fields: Document, names: tuple[str, ...]) -> Document:
    return {name: fields[name] for name in names if name in fields}
