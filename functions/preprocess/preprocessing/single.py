"""The instance for a model that an uploaded text or image becomes."""

import base64

from pipeline.inputs import objects, single
from pipeline.inputs.single import Instance
from pipeline.jobs.job import Job
from pipeline.settings import Settings


def instance(settings: Settings, job: Job) -> Instance:
    """The text itself; for an image a reference to the object, which the GPU service decodes, or its bytes if packed.

    Raises:
        RejectedError: it can never be predicted on, as far as that shows here.
    """
    source, limit = job.object_input(), settings.max_bytes[job.kind or "text"]
    if job.kind != "image":
        return single.text(objects.read(source, limit), objects.charset(source))
    objects.check_size(source, limit)
    if not objects.head(source).packed:
        return single.reference(job)
    return {"image": {"b64": base64.b64encode(objects.read(source, limit)).decode()}}
