"""What a model reads of an uploaded text or image."""

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
    """The input's bytes, unpacked. Raises RejectedError, as `inputs.read` does."""
    return objects.read(job.object_input(), settings.max_bytes[job.kind or "text"])


def instance(settings: Settings, job: Job, data: bytes) -> Instance:
    """Raises RejectedError when the bytes can never be predicted on."""
    if job.kind == "image":
        return of_image(data, settings.image_size)
    text = decode(data)
    if not text.strip():
        raise RejectedError("empty", "The input holds nothing but white space.")
    return {"text": text}


def of_image(data: bytes, size: int) -> Instance:
    encoded = images.shrink(data, size)
    return {"image": {"b64": base64.b64encode(encoded.data).decode()}}
