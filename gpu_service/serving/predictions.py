"""The response for an instance, with its model and timing."""

from typing import Annotated

import msgspec
from msgspec import Meta

from gpu_service.errors import ServiceError

Score = Annotated[float, Meta(description="from 0 to 1; of a regression the value itself")]


class Prediction(msgspec.Struct, omit_defaults=True):
    """`scores` are those of the best labels, in falling order; `truncated` says that the text was cut."""

    label: str
    score: Score
    scores: dict[str, float]
    truncated: bool = False


class Error(msgspec.Struct):
    """`code` is stable; `message` is for people."""

    code: str
    message: str


class Failure(msgspec.Struct):
    """Takes the place of a prediction, or of a whole response."""

    error: Error

    @staticmethod
    def of(error: ServiceError) -> "Failure":
        return Failure(Error(error.code, error.message))


Outcome = Prediction | ServiceError


class ServedModel(msgspec.Struct):
    """Which model answered."""

    name: str
    version: str
    task: str
    source: str
    revision: str | None


class Timing(msgspec.Struct):
    """`gpu_seconds` is the share of its batches' time on the device, GPU or CPU."""

    queue_ms: float
    inference_ms: float
    gpu_seconds: float
