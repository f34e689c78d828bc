"""Builds the terminal documents; their JSON Schemas are in pipeline/schemas/."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Self, TypedDict, cast

from pipeline.errors import MalformedError, RejectedError
from pipeline.jobs.job import InputFields, Job, MessageFields
from pipeline.times import timestamp

HIGH_CONFIDENCE = 0.8  # where an answer has no limits of its own
REVIEW_CONFIDENCE = 0.6
MAX_MESSAGE = 2000
EXPERIMENT_FIELDS: tuple[Literal["id", "arm", "share", "mode"], ...] = ("id", "arm", "share", "mode")

ResultStatus = Literal["succeeded", "partial", "unsuccessful"]
"""Of a result: all, some or none of its records have a prediction."""

Status = Literal[ResultStatus, "rejected", "failed"]


class Reason(TypedDict):
    """What is wrong with an input, or with one of its records."""

    code: str
    message: str


class Failure(Reason):
    """What went wrong in which step; `deliveries` for an event that no function accepted."""

    step: str
    deliveries: NotRequired[int | None]


class Attempt(TypedDict):
    """An earlier attempt at a job that has been replayed."""

    execution: str | None
    finished_at: str
    error: Failure


class LineageFields(TypedDict):
    event_id: str
    execution: str | None
    workflow_revision: str | None
    service_revisions: dict[str, str]
    device: str | None
    region: NotRequired[str]


class Timing(TypedDict):
    received_at: str
    started_at: str | None
    finished_at: str
    queue_ms: NotRequired[float | None]
    inference_ms: NotRequired[float | None]


class Quality(TypedDict):
    confidence: float | None
    high_confidence: bool
    requires_review: bool


class DeviceCost(TypedDict):
    seconds: float
    usd: float


class Band(TypedDict):
    """Bounds in USD, and why they differ."""

    low: float
    high: float
    reasons: list[str]


class TotalCost(TypedDict):
    """An estimate at list prices; `parts` are in USD and add up to `usd`, the low end of the band if there is one."""

    usd: float
    parts: dict[str, float]
    band: NotRequired[Band]


class Cost(TypedDict):
    device: DeviceCost
    total: TotalCost


class Routing(TypedDict):
    """Why a model and its version were chosen; `unserved` is the version that was chosen, but is not served."""

    chosen_by: str
    rule: NotRequired[str]
    version_by: NotRequired[str]
    experiment: NotRequired[dict[str, Any]]
    unserved: NotRequired[str]
    notes: NotRequired[list[str]]


class Payload(TypedDict, total=False):
    """What an input has come to: `predictions`, or a description of the `data` file in the output bucket."""

    predictions: list[dict[str, Any]]
    data: dict[str, Any]
    forecast: dict[str, Any]
    table: dict[str, Any]
    replay: str


class Document(Payload):
    """A terminal document of any status."""

    schema: str
    status: Status
    job: str
    input: InputFields | MessageFields
    kind: str | None
    timing: Timing
    lineage: LineageFields
    model: NotRequired[dict[str, Any] | None]
    routing: NotRequired[Routing]
    parameters: NotRequired[dict[str, Any]]
    quality: NotRequired[Quality]
    cost: NotRequired[Cost]
    reason: NotRequired[Reason]
    error: NotRequired[Failure]
    attempts: NotRequired[list[Attempt]]


@dataclass(frozen=True, slots=True)
class Lineage:
    """The execution, revisions, device and its region that produced a document; None before an execution exists."""

    execution: str | None = None
    workflow_revision: str | None = None
    started_at: str | None = None
    service_revisions: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None
    region: str | None = None

    @classmethod
    def parse(cls, value: object) -> Self:
        if not isinstance(value, dict):
            raise MalformedError("lineage must be an object.")
        texts = {key: value.get(key) for key in ("execution", "workflow_revision", "started_at")}
        if any(text is not None and not isinstance(text, str) for text in texts.values()):
            raise MalformedError("lineage.execution, workflow_revision and started_at must be strings.")
        revisions = value.get("service_revisions") or {}
        if not isinstance(revisions, dict):
            raise MalformedError("lineage.service_revisions must be an object.")
        return cls(**texts, service_revisions={key: str(revision) for key, revision in revisions.items()})

    def json(self, job: Job) -> LineageFields:
        fields: LineageFields = {
            "event_id": job.event_id,
            "execution": self.execution,
            "workflow_revision": self.workflow_revision,
            "service_revisions": dict(self.service_revisions),
            "device": self.device,
        }
        if self.region is not None:
            fields["region"] = self.region
        return fields


@dataclass(frozen=True, slots=True)
class Usage:
    """What a prediction took in milliseconds, summed over its calls."""

    queue_ms: float | None = None
    inference_ms: float | None = None


def result(
    job: Job,
    lineage: Lineage,
    usage: Usage,
    payload: Payload,
    *,
    status: ResultStatus,
    model: dict[str, Any] | None,
    confidence: float | None,
    parameters: Mapping[str, Any],
    cost: Cost,
) -> Document:
    """The document of a result.

    Args:
        confidence: the lowest score among the predictions; None for batches and forecasts.
        parameters: those that shaped the result; among them are the limits of confidence.
    """
    document = {
        "schema": "result/v1",
        "status": status,
        "job": job.id,
        "input": job.input.json(),
        "kind": job.kind,
        "model": model,
        **({} if job.kind == "timeseries" else {"routing": routing(job, model)}),
        "parameters": dict(parameters),
        **payload,
        "quality": _quality(confidence, parameters),
        "timing": {
            **timing(job, lineage),
            "queue_ms": usage.queue_ms,
            "inference_ms": usage.inference_ms,
        },
        "cost": cost,
        "lineage": lineage.json(job),
    }
    return cast(Document, document)


def routing(job: Job, served: Mapping[str, Any] | None = None) -> Routing:
    """Why the job's model was chosen.

    Args:
        served: the model that answered. If it is the stable version in place of the candidate, `unserved` says so.
    """
    model = job.model
    if model is None:
        chosen: Routing = {"chosen_by": "default"}
    else:
        chosen = {"chosen_by": model.get("chosen_by", "requested")}
        if "rule" in model:
            chosen["rule"] = model["rule"]
        if "version_by" in model:
            chosen["version_by"] = model["version_by"]
        if "experiment" in model:
            chosen["experiment"] = {name: model["experiment"][name] for name in EXPERIMENT_FIELDS}
            stable = model["experiment"].get("stable")
            if stable is not None and (served or {}).get("version") == stable:
                chosen["unserved"] = str(model["version"])
    if job.notes:
        chosen["notes"] = list(job.notes)
    return chosen


def rejected(job: Job, reason: RejectedError, lineage: Lineage | None = None) -> Document:
    lineage = lineage or Lineage()
    document = {
        "schema": "rejected/v1",
        "status": "rejected",
        "job": job.id,
        "input": job.input.json(),
        "kind": job.kind,
        "reason": {"code": reason.code, "message": reason.message[:MAX_MESSAGE]},
        **_chosen(job),
        "timing": timing(job, lineage),
        "lineage": lineage.json(job),
    }
    return cast(Document, document)


def failed(job: Job, error: Failure, lineage: Lineage | None = None, *, replay: str) -> Document:
    """A failed document; `replay` is the command that starts the job once more."""
    lineage = lineage or Lineage()
    document = {
        "schema": "failed/v1",
        "status": "failed",
        "job": job.id,
        "input": job.input.json(),
        "kind": job.kind,
        "error": {**error, "message": error["message"][:MAX_MESSAGE]},
        **_chosen(job),
        "replay": replay,
        "timing": timing(job, lineage),
        "lineage": lineage.json(job),
    }
    return cast(Document, document)


def replay(topic: str, document: str, *, partial: bool = False) -> str:
    """The command that starts a failed document's job once more, or the lost shards of a partial one.

    Args:
        topic: the id of the topic whose messages `on_message` receives.
        document: the document's name without folder and suffix.
    """
    criteria = {"prefix": f"{document}.json"} | ({"partial": True} if partial else {})
    message = json.dumps({"replay": criteria}, ensure_ascii=False)
    return f"gcloud pubsub topics publish {shlex.quote(topic)} --message={shlex.quote(message)}"


def attempt(content: Document) -> Attempt:
    """What the document of a later attempt keeps of an earlier one."""
    return {
        "execution": content["lineage"]["execution"],
        "finished_at": content["timing"]["finished_at"],
        "error": content.get("error") or _loss(content),
    }


def _chosen(job: Job) -> dict[str, Any]:
    """The model and its reasons in a document without an answer."""
    if job.model is None:
        return {}
    return {"model": {"name": job.model["name"], "version": job.model["version"]}, "routing": routing(job)}


def _loss(content: Document) -> Failure:
    lost = content["data"]["lost"][0]
    return {"code": lost["code"], "message": lost["message"], "step": "predict_shards"}


def _quality(confidence: float | None, limits: Mapping[str, Any]) -> Quality:
    return {
        "confidence": confidence,
        "high_confidence": confidence is not None and confidence > limits.get("high_confidence", HIGH_CONFIDENCE),
        "requires_review": confidence is not None and confidence < limits.get("requires_review", REVIEW_CONFIDENCE),
    }


def timing(job: Job, lineage: Lineage) -> Timing:
    """When a job was received and its execution begun; it finishes now."""
    return {"received_at": job.received_at, "started_at": lineage.started_at, "finished_at": timestamp()}
