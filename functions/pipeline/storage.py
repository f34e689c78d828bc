"""Objects in Cloud Storage: the client, conditional writes, and the metadata that mark what the pipeline wrote."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from google.api_core.exceptions import GoogleAPICallError, PreconditionFailed, RetryError
from google.auth.exceptions import TransportError
from requests.exceptions import RequestException

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket, Client

UNAVAILABLE = (GoogleAPICallError, RetryError, TransportError, RequestException)
"""What Google's clients raise when a service still fails after their own retries."""

CONTENT_TYPES = {"json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

JOB = "pipeline-job"
HOPS = "pipeline-hops"
ATTEMPT = "pipeline-attempt"
INPUT_GENERATION = "input-generation"
STATUS = "pipeline-status"  # of a document, so that its event alone says what a notification needs
KIND = "pipeline-kind"


def failure_code(error: Exception) -> str:
    """The code under which a handler logs an error: `unavailable` if a Google API failed, else `internal`."""
    return "unavailable" if isinstance(error, UNAVAILABLE) else "internal"


@functools.cache
def client() -> "Client":
    """The process's client, created when first needed; it honours STORAGE_EMULATOR_HOST by itself."""
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")  # else it fetches them untraced too
    from google.cloud.storage import Client

    return Client()


def bucket(name: str) -> "Bucket":
    """A handle on a bucket; makes no request."""
    handle: Bucket = client().bucket(name)
    return handle


# --- conditional writes ----------------------------------------------------------------------------


def put(blob: "Blob", data: str | bytes, metadata: dict[str, str], *, generation: int | None) -> None:
    """Writes the object if its current generation is the given one: 0 for no object yet, None for any.

    Raises:
        google.api_core.exceptions.PreconditionFailed: it is another.
    """
    blob.metadata = metadata
    blob.upload_from_string(data, content_type(blob.name), if_generation_match=generation)


def put_once(blob: "Blob", data: str | bytes, metadata: dict[str, str]) -> None:
    """Writes the object unless it exists; `blob` then has the generation and size of the one that does."""
    try:
        put(blob, data, metadata, generation=0)
    except PreconditionFailed:
        blob.reload()


def copy(source: "Blob", target: "Blob", metadata: dict[str, str], *, generation: int) -> None:
    """Copies within Cloud Storage, under the same precondition on the target."""
    target.metadata = metadata
    target.content_type = content_type(target.name)
    token, _, _ = target.rewrite(source, if_generation_match=generation)
    while token:
        token, _, _ = target.rewrite(source, token=token, if_generation_match=generation)


def supersede(target: "Blob", order: tuple[int, int], write: Callable[[int], None]) -> bool:
    """Writes the object unless a version of the same or a higher rank exists.

    Args:
        order: the rank to write, as `rank` returns it.
        write: writes with the given generation as precondition; losing the race means that another writer was faster.

    Returns:
        Whether it was written without a version before it.
    """
    generation = 0
    while True:
        try:
            write(generation)
        except PreconditionFailed:
            current = target.bucket.get_blob(target.name)
            if current is None:
                generation = 0
            elif rank(current) >= order:
                return False
            else:
                generation = current.generation
        else:
            return not generation


def content_type(name: str) -> str:
    return CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")


# --- metadata --------------------------------------------------------------------------------------


def stamp(job: str, *, hops: int = 0, attempt: int = 0) -> dict[str, str]:
    """Metadata of an object written for a job.

    Args:
        hops: how many pipelines its content has passed through.
        attempt: how many attempts failed before this one.
    """
    numbers = {key: str(number) for key, number in ((HOPS, hops), (ATTEMPT, attempt)) if number}
    return {JOB: job, **numbers}


def is_stamped(metadata: Mapping[str, str]) -> bool:
    """Whether the pipeline wrote the object."""
    return JOB in metadata


def hops(metadata: Mapping[str, str]) -> int:
    return _number(metadata, HOPS)


def rank(blob: "Blob") -> tuple[int, int]:
    """The input's generation, 0 where a name belongs to one generation, and the attempt."""
    metadata = blob.metadata or {}
    return _number(metadata, INPUT_GENERATION), _number(metadata, ATTEMPT)


def _number(metadata: Mapping[str, str], key: str) -> int:
    """A number kept in metadata; 0 if it is missing or unreadable."""
    text = metadata.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
