"""Reads input objects, always the very generation that the event named."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed, ServiceUnavailable

from pipeline import clients
from pipeline.errors import RejectedError
from pipeline.jobs import Input

if TYPE_CHECKING:
    from google.cloud.storage import Blob

HEAD_BYTES = 64 * 1024
CHUNK_BYTES = 1 << 20


def head(source: Input) -> bytes:
    """The first 64 KB, stored bytes as they are (never unpacked by the client).

    Raises:
        ServiceUnavailable: the answer broke off; a range has no checksum by which the client would notice.
    """
    with _gone(source):
        found = _bytes(_blob(source).download_as_bytes(end=HEAD_BYTES - 1, raw_download=True))
    if len(found) < min(HEAD_BYTES, source.size):
        raise ServiceUnavailable(f"{len(found)} bytes came of the first {min(HEAD_BYTES, source.size)}.")
    return found


def read(source: Input, limit: int) -> bytes:
    """The whole object.

    Raises:
        RejectedError: `input_gone`, or `too_large` beyond `limit` bytes.
    """
    check_size(source, limit)
    with _gone(source):
        return _bytes(_blob(source).download_as_bytes(raw_download=True))


@contextmanager
def reader(source: Input, limit: int) -> Iterator[IO[bytes]]:
    """The object as a stream that holds one chunk in memory at a time."""
    check_size(source, limit)
    with _gone(source):
        yield _blob(source).open("rb", chunk_size=CHUNK_BYTES, raw_download=True)


def check_size(source: Input, limit: int, kind: str | None = None) -> None:
    if source.size > limit:
        message = f"The input has {source.size:,} bytes; at most {limit:,} are accepted."
        raise RejectedError("too_large", message, kind)


def _blob(source: Input) -> "Blob":
    blob: Blob = clients.bucket(source.bucket).blob(source.name, generation=source.generation)
    return blob


@contextmanager
def _gone(source: Input) -> Iterator[None]:
    try:
        yield
    except (NotFound, PreconditionFailed) as error:
        raise RejectedError(
            "input_gone", f"Generation {source.generation} of the object no longer exists; upload it again."
        ) from error


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
