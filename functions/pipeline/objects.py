"""Writes objects under a generation precondition, stamped as the pipeline's own."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud.storage import Blob

CONTENT_TYPES = {"json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


def put(blob: "Blob", data: str | bytes, metadata: dict[str, str], *, generation: int | None) -> None:
    """Writes the object if its generation is still the given one: 0 for none yet, None for whatever it is.

    Raises:
        google.api_core.exceptions.PreconditionFailed: it is not.
    """
    blob.metadata = metadata
    blob.upload_from_string(data, content_type(blob.name), if_generation_match=generation)


def copy(source: "Blob", target: "Blob", metadata: dict[str, str], *, generation: int) -> None:
    """Copies within Cloud Storage, under the same precondition on the target."""
    target.metadata = metadata
    target.content_type = content_type(target.name)
    token, _, _ = target.rewrite(source, if_generation_match=generation)
    while token:
        token, _, _ = target.rewrite(source, token=token, if_generation_match=generation)


def content_type(name: str) -> str:
    return CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
