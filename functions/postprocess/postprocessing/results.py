"""Builds the result documents of predictions, forecasts and batches."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.deployment import Deployment
from pipeline.inputs import objects, parameters
from pipeline.jobs import batches, documents, outcomes
from pipeline.jobs.batches import Batch, Summary
from pipeline.jobs.documents import Cost, Document, Lineage, Payload, ResultStatus, Usage
from pipeline.jobs.job import Job, on_endpoint
from pipeline.routing import regions
from pipeline.settings import Settings
from pipeline.tabular.writer import Dialect
from postprocessing import costs, failures, merge, progress
from postprocessing.costs import Effort
from postprocessing.failures import OBJECT_NOT_FOUND, SHARD_LOST, StepError

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

Fields = dict[str, Any]
MODEL_FIELDS = ("name", "version", "task", "source", "revision")
PREDICTION_FIELDS = ("label", "score", "scores", "entities", "objects", "embedding", "truncated", "error")
SCORED_FIELDS = ("entities", "objects")  # lists whose items have a score each
FORECAST_FIELDS = ("series", "backtest")


def of_prediction(
    settings: Settings, job: Job, lineage: Lineage, answer: Fields, effort: Effort | None = None
) -> Document:
    """The document of a single request.

    Args:
        effort: of a member of a micro-batch; without it, that of an execution of its own.

    Raises:
        RejectedError: no instance has a prediction, and the instances are at fault; or `input_gone`.
    """
    predictions = shown(answer)
    errors = [prediction["error"] for prediction in predictions if "error" in prediction]
    if len(errors) == len(predictions):
        if errors[0]["code"] == OBJECT_NOT_FOUND and job.object_input().bucket == settings.input_bucket:
            raise objects.gone(job.object_input())  # the upload itself, to which preprocess had referred
        return failures.document(settings, job, lineage, StepError.of_predictions(errors))
    region = None if effort or on_endpoint(job.model) else regions.served(settings, job, regions.failed(answer))
    return documents.result(
        job,
        replace(lineage, device=answer.get("device"), region=region),
        _usage(answer),
        {"predictions": predictions},
        status="partial" if errors else "succeeded",
        model=served_model(answer.get("model")),
        confidence=_confidence(predictions),
        parameters={**_requested(job), **(answer.get("parameters") or {})},
        cost=_cost(settings, effort or _effort(job, lineage), gpu_seconds(answer)),
    )


def _effort(job: Job, lineage: Lineage) -> Effort:
    return costs.single(is_prepared="preprocess" not in lineage.service_revisions, on_endpoint=on_endpoint(job.model))


def shown(answer: Fields) -> list[Fields]:
    """The predictions of an answer as documents have them."""
    return [_pick(prediction, PREDICTION_FIELDS) for prediction in answer["predictions"]]


def _confidence(predictions: list[Fields]) -> float | None:
    """The lowest score; None where there is none, and for the values of a regression that cannot be probabilities."""
    scores = list(_scores(predictions))
    return min(scores) if scores and min(scores) >= 0 and max(scores) <= 1 else None


def of_forecast(deployment: Deployment, job: Job, lineage: Lineage, answer: Fields) -> tuple[Document, str]:
    """The document of a forecast, and the name of its staged CSV."""
    points = answer["predictions"]
    staged = merge.forecast(deployment.work, job, points, Dialect.parse(answer.get("dialect") or {}))
    payload: Payload = {"data": _data(deployment.output, job, staged, len(points), {})}
    if forecast := _pick(answer, FORECAST_FIELDS):
        payload["forecast"] = forecast
    document = documents.result(
        job,
        replace(lineage, device=answer.get("device")),
        _usage(answer),
        payload,
        status="succeeded",
        model=served_model(answer.get("model")),
        confidence=None,
        parameters=answer.get("parameters") or {},
        cost=_cost(deployment.settings, costs.FORECAST, gpu_seconds(answer)),
    )
    return document, staged


def of_batch(deployment: Deployment, job: Job, lineage: Lineage, answer: Fields) -> tuple[Document, str | None]:
    """The document of a batch, and the name of its staged data; a failed document without data if no shard finished.

    Raises:
        RejectedError: no shard finished, and the input is at fault.
        MalformedError: the batch is not the job's.
    """
    batch = Batch.parse(answer, deployment.work, job.id)
    job = replace(job, model=batch.model)  # chosen when the batch was cut, if its input did not name one
    summary = batches.summarise(deployment.work, batch)
    error = StepError.parse((answer.get("errors") or [SHARD_LOST])[0])
    if not summary.shards:
        return failures.document(deployment.settings, job, lineage, error), None
    lost = [shard for shard in range(batch.shards) if shard not in summary.shards]
    staged, lost_errors = merge.batch(deployment.work, job, batch, lost, error.reason, summary.columns)
    errors = Counter(summary.errors) + Counter(lost_errors)
    data = _data(deployment.output, job, staged, batch.records, errors)
    if reasons := _reasons(summary, batch, lost, error):
        data["reasons"] = reasons
    data |= summary.counts
    data["shards"] = batch.shards
    data["records_per_second"] = progress.rate(batch.records, lineage.started_at)
    payload: Payload = {"data": data}
    if batch.table:
        payload["table"] = batch.table
    if lost:
        spans = [batch.span(shard) for shard in lost]
        data["lost"] = [{"first": span[0], "last": span[-1], **error.reason} for span in spans]
        payload["replay"] = documents.replay(deployment.settings.messages_topic, job.document, partial=True)
    revisions = {**lineage.service_revisions, "gpu_service": ", ".join(summary.revisions)}
    document = documents.result(
        job,
        replace(lineage, device=summary.device, service_revisions=revisions),
        Usage(inference_ms=summary.inference_ms),
        payload,
        status=_status(data),
        model=served_model(summary.model),
        confidence=None,
        parameters={**_requested(job), **batch.parameters, **summary.parameters},
        cost=_cost(deployment.settings, costs.batch(batch.shards), summary.gpu_seconds),
    )
    return document, staged


def _status(data: Fields) -> ResultStatus:
    if not data["failed"]:
        return "succeeded"
    return "partial" if data["succeeded"] else "unsuccessful"


def _reasons(summary: Summary, batch: Batch, lost: Sequence[int], error: StepError) -> list[Fields]:
    """Why the first records failed."""
    reasons = [*summary.reasons, *({"index": batch.span(shard).start, **error.reason} for shard in lost)]
    return sorted(reasons, key=lambda reason: reason["index"])[: batches.MAX_REASONS]


def _requested(job: Job) -> Fields:
    """The parameters of the input itself; a shard's summary may leave long ones out."""
    return {**parameters.of_reader("preprocess", job.parameters), **parameters.of_reader("gpu_service", job.parameters)}


def _data(output: "Bucket", job: Job, staged: str, records: int, errors: Mapping[str, int]) -> Fields:
    name = outcomes.name(job, "succeeded", staged.rpartition(".")[2])
    failed = sum(errors.values())
    return {
        "uri": f"gs://{output.name}/{name}",
        "records": records,
        "succeeded": records - failed,
        "failed": failed,
        "errors": dict(errors),
    }


def _usage(answer: Fields) -> Usage:
    timing = answer.get("timing") or {}
    return Usage(timing.get("queue_ms"), timing.get("inference_ms"))


def gpu_seconds(answer: Fields) -> float:
    return (answer.get("timing") or {}).get("gpu_seconds") or 0.0


def _cost(settings: Settings, effort: Effort, seconds: float) -> Cost:
    return costs.estimate(effort, seconds, settings.gpu_usd_per_second, settings.region)


def served_model(model: Fields | None) -> Fields:
    """The model of an answer as documents have it."""
    return {field: (model or {}).get(field) for field in MODEL_FIELDS}


def _scores(predictions: list[Fields]) -> Iterator[float]:
    """Of all predictions; an embedding has none."""
    for prediction in predictions:
        if "score" in prediction:
            yield prediction["score"]
        for name in SCORED_FIELDS:
            yield from (item["score"] for item in prediction.get(name, ()))


def _pick(fields: Fields, names: tuple[str, ...]) -> Fields:
    return {name: fields[name] for name in names if name in fields}
