"""The instances of a text or an image, and those small enough to travel in the workflow's argument."""

import json
from collections.abc import Sequence
from typing import Any

from pipeline.errors import RejectedError
from pipeline.formats.text import decode
from pipeline.inputs import objects, parameters
from pipeline.inputs.objects import Head
from pipeline.jobs.job import Job, Prepared

Instance = dict[str, Any]
MAX_BYTES = 8 * 1024  # of JSON; a call of preprocess and a read cost more than steps that carry so little


def of_head(job: Job, head: Head) -> Prepared | None:
    """What preprocess would answer for the job, if the head says it all: a small text, or an image as it was uploaded.

    Raises:
        RejectedError: `undecodable` or `empty`, as preprocess would.
    """
    if job.kind == "image":
        return None if head.packed else prepared(job, [reference(job)])
    if job.kind == "text" and head.whole:
        return prepared(job, [text(head.data, objects.charset(job.object_input()))])
    return None


def prepared(job: Job, instances: Sequence[Instance]) -> Prepared | None:
    """The request to the GPU service; None if it is too large for the workflow's argument."""
    if len(json.dumps(instances, ensure_ascii=False).encode(errors="surrogatepass")) > MAX_BYTES:
        return None
    own = parameters.of_reader("gpu_service", job.parameters)
    return {"mode": "single", "instances": list(instances), "parameters": own}


def text(data: bytes, charset: str | None = None) -> Instance:
    """The instance of a whole text; `charset` as for `encoding`.

    Raises:
        RejectedError: `undecodable`, or `empty` for white space alone.
    """
    content = decode(data, charset)
    if not content.strip():
        raise RejectedError("empty", "The input contains only white space.")
    return {"text": content}


def reference(job: Job) -> Instance:
    """The instance of an uploaded image, which the GPU service reads in exactly this generation."""
    source = job.object_input()
    return {"uri": source.uri, "generation": str(source.generation)}
