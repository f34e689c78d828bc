"""Reads input objects in exactly the generation of the event, and unpacks gzip."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from google.api_core.exceptions import (
    NotFound,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
    ServiceUnavailable,
)

from pipeline import storage
from pipeline.errors import RejectedError
from pipeline.formats import compression, media_types
from pipeline.jobs.job import Input

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer
    from google.cloud.storage import Blob

HEAD_BYTES = 64 * 1024
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an input.

    Args:
        data: its first 64 KB, unpacked.
        whole: whether that is all of it.
        packed: whether the object is gzip.
    """

    data: bytes
    whole: bool
    packed: bool = False


def head(source: Input) -> Head:
    """The first 64 KB.

    Raises:
        RejectedError: `input_gone`, or `undecodable` for damaged gzip.
        ServiceUnavailable: the response was cut short, which the client does not notice: a range has no checksum.
    """
    if not source.size:
        return Head(b"", whole=True)
    with _gone(source):
        content = _bytes(_blob(source).download_as_bytes(end=HEAD_BYTES - 1, raw_download=True))
    if len(content) != min(HEAD_BYTES, source.size):
        raise ServiceUnavailable(f"Only {len(content)} of the first {min(HEAD_BYTES, source.size)} bytes arrived.")
    return head_of(content, source.size)


def head_of(content: bytes, size: int) -> Head:
    """The head of an input of `size` bytes that begins with the content. Raises RejectedError, `undecodable`."""
    if not compression.is_packed(content):
        return Head(content, whole=size <= len(content))
    data, complete = compression.unpack(content, HEAD_BYTES)
    return Head(data, whole=complete and size <= len(content), packed=True)


def opened(source: Input, limit: int) -> tuple[Input, Head]:
    """The input with its true size, and its head: an event may be forged, or describe the object wrongly.

    A head that is the whole object proves its size; of a longer object, or where they differ, Cloud Storage is asked.

    Raises:
        RejectedError: `empty`, `too_large` beyond `limit` bytes, or as `head`.
        ServiceUnavailable: as `head`.
    """
    if 0 < source.size <= min(limit, HEAD_BYTES):
        try:
            return source, head(source)
        except (ServiceUnavailable, RequestRangeNotSatisfiable) as error:
            sized = measured(source)
            if sized == source:
                raise ServiceUnavailable("The response was cut short.") from error
    else:
        sized = measured(source)
    check_extent(sized, limit)
    return sized, head(sized)


def read(source: Input, limit: int) -> bytes:
    """The whole input.

    Raises:
        RejectedError: `input_gone`, `too_large` if the object is longer than `limit` bytes, or an error of unpacking.
    """
    check_size(source, limit)
    download = _Download(limit)
    with _gone(source):
        _blob(source).download_to_file(download, raw_download=True)
    content = download.getvalue()
    return compression.read(content, limit) if compression.is_packed(content) else content


@contextmanager
def reader(source: Input, limit: int, *, packed: bool) -> Iterator[IO[bytes]]:
    """The input as a stream that holds one chunk in memory at a time; `packed` as in its head.

    Reading raises RejectedError: `too_large` if the object is longer than `limit` bytes, or an error of unpacking.
    """
    check_size(source, limit)
    with _gone(source):
        stream: IO[bytes] = _blob(source).open("rb", chunk_size=CHUNK_BYTES, raw_download=True)
        content = io.BufferedReader(_Limited(stream, limit), CHUNK_BYTES)
        yield io.BufferedReader(compression.Unpacked(content, limit), CHUNK_BYTES) if packed else content


def charset(source: Input) -> str | None:
    """The encoding in which a text is to be read: the one that was guessed at its intake, or the declared one."""
    _, content_type = compression.described(source.name, source.content_type)
    return source.encoding or media_types.charset(content_type)


def exists(source: Input) -> bool:
    blob: Blob | None = storage.bucket(source.bucket).get_blob(source.name, generation=source.generation)
    return blob is not None


def gone(source: Input) -> RejectedError:
    return RejectedError(
        "input_gone", f"Generation {source.generation} of the object no longer exists; upload it again."
    )


def check_extent(source: Input, limit: int) -> None:
    """Raises RejectedError, `empty`, or `too_large` beyond `limit` bytes."""
    check_size(source, limit)
    if not source.size:
        raise RejectedError("empty", "The input is empty.")


def check_size(source: Input, limit: int, kind: str | None = None) -> None:
    if source.size > limit:
        message = f"The input has {source.size:,} bytes; at most {limit:,} are accepted."
        raise RejectedError("too_large", message, kind)


class _Download(io.BytesIO):
    """Takes in an object of at most `limit` bytes, whatever size was stated."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: "ReadableBuffer") -> int:
        if self.tell() + memoryview(data).nbytes > self._limit:
            raise _longer(self._limit)
        return super().write(data)


class _Limited(io.RawIOBase):
    """An object's stream, of which at most `limit` bytes can be read, whatever size was stated."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._left = self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer)
        content = self._stream.read(target.nbytes)
        target[: len(content)] = content
        self._left -= len(content)
        if self._left < 0:
            raise _longer(self._limit)
        return len(content)


def _longer(limit: int) -> RejectedError:
    return RejectedError("too_large", f"The input is longer than the {limit:,} bytes that are accepted.")


def measured(source: Input) -> Input:
    """The input with the size that Cloud Storage reports. Raises RejectedError, `input_gone`."""
    blob: Blob | None = storage.bucket(source.bucket).get_blob(source.name, generation=source.generation)
    if blob is None:
        raise gone(source)
    return replace(source, size=blob.size or 0)


def _blob(source: Input) -> "Blob":
    blob: Blob = storage.bucket(source.bucket).blob(source.name, generation=source.generation)
    return blob


@contextmanager
def _gone(source: Input) -> Iterator[None]:
    try:
        yield
    except (NotFound, PreconditionFailed) as error:
        raise gone(source) from error


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
