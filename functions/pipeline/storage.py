"""The storage client, created once per process when first needed; it honours STORAGE_EMULATOR_HOST by itself."""

import functools
import os
from typing import TYPE_CHECKING

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import TransportError
from requests.exceptions import RequestException

if TYPE_CHECKING:
    from google.cloud.storage import Bucket, Client
from collections.abc import Callable

from google.api_core.exceptions import PreconditionFailed

if TYPE_CHECKING:
    from google.cloud.storage import Blob
from collections.abc import Mapping

AGAIN = (GoogleAPICallError, RetryError, TransportError, RequestException)
"""What the clients raise when a service still fails after they repeated the call themselves."""


@functools.cache
def storage() -> "Client":
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")  # else asked for, traced or not
    from google.cloud.storage import Client

    return Client()


def bucket(name: str) -> "Bucket":
    """A bucket by name; no request is made."""
    found: Bucket = storage().bucket(name)
    return found


INPUT_GENERATION = "input-generation"
CONTENT_TYPES = {"json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def put(blob: "Blob", data: str | bytes, metadata: dict[str, str], *, generation: int | None) -> None:
    """Writes the object if its generation is still the given one: 0 for none yet, None for whatever it is.

    Raises:
        google.api_core.exceptions.PreconditionFailed: it is not.
    """
    blob.metadata = metadata
    blob.upload_from_string(data, content_type(blob.name), if_generation_match=generation)


def put_once(blob: "Blob", data: str | bytes, metadata: dict[str, str]) -> None:
    """Writes the object unless an earlier attempt did; `blob` then knows the generation that is there."""
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


def supersede(target: "Blob", rank: tuple[int, int], write: Callable[[int], None]) -> None:
    """Writes over what is older; every lost race means that another writer has moved on.

    Args:
        rank: the input's generation (0 where a name holds only one) and the attempt, as the metadata tell them.
        write: writes under the given generation as precondition.
    """
    seen = 0
    while True:
        try:
            write(seen)
        except PreconditionFailed:
            current = target.bucket.get_blob(target.name)
            if current is None:
                seen = 0
            elif _rank(current) >= rank:
                return
            else:
                seen = current.generation
        else:
            return


def _rank(blob: "Blob") -> tuple[int, int]:
    metadata = blob.metadata or {}
    return count(metadata, INPUT_GENERATION), count(metadata, ATTEMPT)


def content_type(name: str) -> str:
    return CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")


KEY = "pipeline-job"
HOPS = "pipeline-hops"
ATTEMPT = "pipeline-attempt"


def stamp(job: str, *, hops: int = 0, attempt: int = 0) -> dict[str, str]:
    """Metadata of an object written for a job.

    Args:
        hops: how many times what led to it went through a pipeline.
        attempt: how many attempts failed before this one.
    """
    counted = {name: str(count) for name, count in ((HOPS, hops), (ATTEMPT, attempt)) if count}
    return {KEY: job, **counted}


def is_stamped(metadata: Mapping[str, str]) -> bool:
    return KEY in metadata


def hops(metadata: Mapping[str, str]) -> int:
    return count(metadata, HOPS)


def count(metadata: Mapping[str, str], key: str) -> int:
    """A number kept in metadata; 0 when there is none that can be read."""
    text = metadata.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
