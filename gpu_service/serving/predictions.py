"""The response for an instance that failed, and what is said about all: model and timing."""

import msgspec

from gpu_service.errors import ServiceError
from gpu_service.tasks.predictions import Prediction


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
