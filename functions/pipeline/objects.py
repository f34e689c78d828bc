"""Writes objects under a generation precondition, stamped as the pipeline's own."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from google.api_core.exceptions import PreconditionFailed

from pipeline import stamps

if TYPE_CHECKING:
    from google.cloud.storage import Blob

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
    return stamps.count(metadata, INPUT_GENERATION), stamps.count(metadata, stamps.ATTEMPT)


def content_type(name: str) -> str:
    return CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
