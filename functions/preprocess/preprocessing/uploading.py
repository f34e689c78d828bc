"""Uploads lines as an object while they are produced; an error in between leaves no object."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from google.api_core.exceptions import PreconditionFailed

from pipeline.storage import content_type

if TYPE_CHECKING:
    from google.cloud.storage import Blob

CHUNK_BYTES = 8 << 20  # of an object in memory; a function's disk is memory too


def write(blob: "Blob", metadata: dict[str, str], lines: Iterator[str]) -> int:
    """Writes an object unless it exists, in chunks if it is large, and returns how many lines it has."""
    content = _Content(lines)
    small = content.whole(CHUNK_BYTES)
    blob.metadata, blob.chunk_size = metadata, CHUNK_BYTES
    upload = blob.upload_from_file if small is None else blob.upload_from_string
    try:
        upload(small or content, content_type=content_type(blob.name), if_generation_match=0)
    except PreconditionFailed:  # an interrupted attempt wrote it, of the same lines
        content.skip()
    return content.lines


class _Content:
    """The lines as a stream that the client uploads; `lines` counts those that were taken."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._source = lines
        self._ahead = bytearray()
        self._position = 0
        self.lines = 0

    def whole(self, limit: int) -> bytes | None:
        """All of it, if that is less than `limit` bytes."""
        self._read_ahead(limit)
        return bytes(self._ahead) if len(self._ahead) < limit else None

    def read(self, size: int) -> bytes:
        self._read_ahead(size)
        part = bytes(self._ahead[:size])
        del self._ahead[:size]
        self._position += len(part)
        return part

    def tell(self) -> int:
        return self._position

    def skip(self) -> None:
        """Counts the remaining lines."""
        self.lines += sum(1 for _ in self._source)

    def _read_ahead(self, size: int) -> None:
        while len(self._ahead) < size and (line := next(self._source, None)) is not None:
            self._ahead += line.encode("utf-8", "replace") + b"\n"
            self.lines += 1
