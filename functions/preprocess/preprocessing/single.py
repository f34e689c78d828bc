"""The instance for a model that an uploaded text or image becomes."""

import base64
from typing import Any

from pipeline.errors import RejectedError
from pipeline.formats.text import decode
from pipeline.inputs import objects
from pipeline.jobs.job import Job
from pipeline.settings import Settings
from preprocessing import images

Instance = dict[str, Any]


def fetch(settings: Settings, job: Job) -> bytes:
    """The input's bytes, unpacked. Raises RejectedError, as `objects.read` does."""
    return objects.read(job.object_input(), settings.max_bytes[job.kind or "text"])


def instance(settings: Settings, job: Job, data: bytes) -> Instance:
    """The instance of a text or an image. Raises RejectedError if it can never be predicted on."""
    if job.kind == "image":
        return of_image(data, settings.image_size)
    text = decode(data)
    if not text.strip():
        raise RejectedError("empty", "The input contains only white space.")
    return {"text": text}


def of_image(data: bytes, size: int) -> Instance:
    encoded = images.shrink(data, size)
    return {"image": {"b64": base64.b64encode(encoded.data).decode()}}
