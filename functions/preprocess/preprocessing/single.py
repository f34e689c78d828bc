"""The instance for a model that an uploaded text or image becomes."""

import base64
from typing import Any

from pipeline.errors import RejectedError
from pipeline.formats.text import decode
from pipeline.inputs import objects, recognition
from pipeline.jobs.job import Job
from pipeline.settings import Settings

Instance = dict[str, Any]


def instance(settings: Settings, job: Job) -> Instance:
    """The text itself; for an image a reference to the object, which the GPU service decodes, or its bytes if packed.

    Raises:
        RejectedError: it can never be predicted on, as far as that shows here.
    """
    source, limit = job.object_input(), settings.max_bytes[job.kind or "text"]
    if job.kind == "image":
        objects.check_size(source, limit)
        if not objects.head(source).packed:
            return {"uri": f"gs://{source.bucket}/{source.name}", "generation": str(source.generation)}
        return {"image": {"b64": base64.b64encode(objects.read(source, limit)).decode()}}
    text = decode(objects.read(source, limit), recognition.charset(source))
    if not text.strip():
        raise RejectedError("empty", "The input contains only white space.")
    return {"text": text}
