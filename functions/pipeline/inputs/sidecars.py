"""Sidecars: `<name>.parameters.json` requests a model and parameters for the object `<name>`."""

from dataclasses import replace
from typing import Any

from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable

from pipeline import storage
from pipeline.errors import RejectedError
from pipeline.formats import json_text
from pipeline.formats.text import decode
from pipeline.inputs import parameters
from pipeline.jobs.job import MAX_OBJECT_NAME, Job

SUFFIX = ".parameters.json"
MAX_BYTES = 64 * 1024


def is_sidecar(name: str) -> bool:
    return name.endswith(SUFFIX)


def apply(job: Job) -> Job:
    """The job with its input's sidecar applied; the object's own metadata take precedence.

    Raises:
        RejectedError: `invalid_parameters`, also for an unreadable sidecar.
    """
    source = job.object_input()
    name = source.name + SUFFIX
    if len(name.encode()) > MAX_OBJECT_NAME:
        return job
    try:
        data = storage.bucket(source.bucket).blob(name).download_as_bytes(end=MAX_BYTES, raw_download=True)
    except NotFound:
        return job
    except RequestRangeNotSatisfiable:
        data = b""
    try:
        model, requested = parameters.of_document(_object(data))
    except RejectedError as refusal:
        raise RejectedError("invalid_parameters", f"The sidecar {SUFFIX[1:]}: {refusal.message}", job.kind) from refusal
    return replace(job, model=job.model or model, parameters={**requested, **job.parameters})


def _object(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise RejectedError("invalid_parameters", f"It has more than {MAX_BYTES:,} bytes.")
    value = json_text.parse(decode(data))
    if not isinstance(value, dict):
        raise RejectedError("invalid_parameters", "It must be a JSON object.")
    return value
