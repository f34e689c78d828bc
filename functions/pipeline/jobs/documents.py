"""Builds the terminal documents; their JSON Schemas lie in schemas/."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pipeline.errors import MalformedError, RejectedError
from pipeline.inputs.events import now
from pipeline.jobs.job import Job

HIGH_CONFIDENCE = 0.8
REVIEW_CONFIDENCE = 0.6
MAX_MESSAGE = 2000

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which execution, revisions and device brought a document about; None before an execution exists."""

    execution: str | None = None
    workflow_revision: str | None = None
    started_at: str | None = None
    service_revisions: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None

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

    def json(self, job: Job) -> Document:
        return {
            "event_id": job.event_id,
            "execution": self.execution,
            "workflow_revision": self.workflow_revision,
            "service_revisions": dict(self.service_revisions),
            "device": self.device,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """What a prediction took, summed over its calls."""

    queue_ms: float | None = None
    inference_ms: float | None = None
    gpu_seconds: float = 0.0


def result(
    job: Job,
    lineage: Lineage,
    usage: Usage,
    payload: Document,
    *,
    status: str,
    model: Document | None,
    confidence: float | None,
    gpu_usd_per_second: float,
) -> Document:
    """A succeeded or partial document.

    Args:
        payload: `predictions`, `data` or `inputs`, and what else belongs beside it.
        confidence: the lowest score among the predictions; None when there is no such thing.
    """
    return {
        "schema": "result/v1",
        "status": status,
        **_head(job),
        "model": model,
        **payload,
        "quality": quality(confidence),
        "timing": _timing(job, lineage) | {"queue_ms": usage.queue_ms, "inference_ms": usage.inference_ms},
        "cost": {"gpu_seconds": usage.gpu_seconds, "usd": round(usage.gpu_seconds * gpu_usd_per_second, 12)},
        "lineage": lineage.json(job),
    }


def rejected(job: Job, reason: RejectedError, lineage: Lineage | None = None) -> Document:
    lineage = lineage or Lineage()
    return {
        "schema": "rejected/v1",
        "status": "rejected",
        **_head(job),
        "reason": {"code": reason.code, "message": reason.message[:MAX_MESSAGE]},
        "timing": _timing(job, lineage),
        "lineage": lineage.json(job),
    }


def failed(job: Job, error: Document, lineage: Lineage | None = None, *, replay: str) -> Document:
    """A failed document.

    Args:
        error: `{code, message, step, deliveries?}`.
        replay: the command that sends the input again.
    """
    lineage = lineage or Lineage()
    return {
        "schema": "failed/v1",
        "status": "failed",
        **_head(job),
        "error": error | {"message": error["message"][:MAX_MESSAGE]},
        "replay": replay,
        "timing": _timing(job, lineage),
        "lineage": lineage.json(job),
    }


def quality(confidence: float | None) -> Document:
    return {
        "confidence": confidence,
        "high_confidence": confidence is not None and confidence > HIGH_CONFIDENCE,
        "requires_review": confidence is not None and confidence < REVIEW_CONFIDENCE,
    }


def replay(topic: str, document: str, *, partial: bool = False) -> str:
    """The command that starts a failed document's job once more, or the lost shards of a partial one."""
    wanted = {"prefix": f"{document}.json"} | ({"partial": True} if partial else {})
    message = json.dumps({"replay": wanted}, ensure_ascii=False)
    return f"gcloud pubsub topics publish {shlex.quote(topic)} --message={shlex.quote(message)}"


def attempt(content: Document) -> Document:
    """What the document of a later attempt remembers of a failed one."""
    return {
        "execution": content["lineage"]["execution"],
        "finished_at": content["timing"]["finished_at"],
        "error": content.get("error") or _loss(content),
    }


def _loss(content: Document) -> Document:
    lost = content["data"]["lost"][0]
    return {"code": lost["code"], "message": lost["message"], "step": "predict_shards"}


def _head(job: Job) -> Document:
    return {"job": job.id, "input": job.input.json(), "kind": job.kind}


def _timing(job: Job, lineage: Lineage) -> Document:
    return {"received_at": job.received_at, "started_at": lineage.started_at, "finished_at": now()}
