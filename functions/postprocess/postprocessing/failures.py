"""Failed steps of an execution: whether they reject the input, and the document that says so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pipeline.errors import RejectedError
from pipeline.jobs import documents
from pipeline.jobs.documents import Document, Failure, Lineage
from pipeline.jobs.job import Job
from pipeline.settings import Settings

OBJECT_NOT_FOUND = "object_not_found"
MODEL_NOT_FOUND = "model_not_found"
CALLER_FAULTS = (  # 4xx codes that blame the pipeline's own request or a missing shard, not the input
    "malformed_request",
    "method_not_allowed",
    "not_found",
    OBJECT_NOT_FOUND,
    "bucket_not_allowed",
    "invalid_uri",
    "unsupported_media_type",
)
RETRYABLE = (408, 429)
GPU_STEPS = ("predict", "predict_shards")
UNREACHABLE = ("unreachable", "http_502", "http_503", "http_504")  # the workflow's codes where the service gave none
GPU_FAULTS = (  # codes in place of a prediction that blame the GPU service; all others blame the instance
    "inference_failed",
    "storage_failed",
    "internal",
    "overloaded",
    "unavailable",
    "deadline_exceeded",
)
SHARD_LOST = {"code": "shard_lost", "message": "The shard produced no output.", "step": "predict_shards"}


@dataclass(frozen=True, slots=True)
class StepError:
    """The error of a step; `status` is that of the HTTP response, if there was one."""

    code: str
    message: str
    step: str
    status: int | None = None

    @classmethod
    def parse(cls, error: Mapping[str, Any]) -> Self:
        """Reads `{step, status, code, message}` as the workflow describes an error; each may be null."""
        status, code, message = error.get("status"), error.get("code"), error.get("message")
        if not isinstance(code, str) or not code:
            code = f"http_{status}" if status else "execution_error"
            status = None
        return cls(
            code=code,
            message=message if isinstance(message, str) else json.dumps(message),
            step=str(error.get("step") or "unknown"),
            status=status if isinstance(status, int) else None,
        )

    @classmethod
    def of_predictions(cls, errors: list[dict[str, str]]) -> Self:
        """The error of a prediction none of whose instances succeeded: a fault of the service counts most."""
        fault = next((error for error in errors if error["code"] in GPU_FAULTS), None)
        error = fault or errors[0]
        return cls(error["code"], error["message"], "predict", 500 if fault else 400)

    @property
    def reason(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}

    @property
    def is_outage(self) -> bool:
        """Whether the GPU service could not be reached, or was not ready."""
        is_unready = self.status in (502, 503, 504) and self.code != "model_unavailable"
        return self.step in GPU_STEPS and (is_unready or self.code in UNREACHABLE)

    @property
    def is_temporary(self) -> bool:
        """Whether the GPU service did not take the input: there was an outage, or it was occupied."""
        is_occupied = self.status == 429 or self.code == "http_429"
        return self.is_outage or (self.step in GPU_STEPS and is_occupied)

    @property
    def rejects(self) -> bool:
        """Whether the input is at fault, so that no other attempt can succeed."""
        is_refusal = self.status is not None and 400 <= self.status < 500 and self.status not in RETRYABLE
        return is_refusal and self.code not in CALLER_FAULTS


def is_chosen_by_us(job: Job) -> bool:
    """Whether a rule or traffic.json chose the model or its version, so that the input is not at fault if it lacks."""
    return job.model is not None and (job.model.get("chosen_by") == "rule" or job.model.get("version_by") == "traffic")


def document(settings: Settings, job: Job, lineage: Lineage, error: StepError) -> Document:
    """The failed document of a job.

    Raises:
        RejectedError: the input is at fault.
    """
    if error.rejects and not (error.code == MODEL_NOT_FOUND and is_chosen_by_us(job)):
        raise RejectedError(error.code, error.message)
    replay = documents.replay(settings.messages_topic, job.document)
    failure: Failure = {"code": error.code, "message": error.message, "step": error.step}
    return documents.failed(job, failure, lineage, replay=replay)
