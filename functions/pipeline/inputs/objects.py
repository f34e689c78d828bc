"""Reads input objects in exactly the generation of the event, and unpacks gzip."""

import io
import math
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
SAMPLES = 4
EXPANDED_BYTES = 16 << 20  # of a packed input's beginning, to see what it expands to
CHUNK_BYTES = 4 << 20  # of a stream; each is a request


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


def samples(source: Input) -> list[bytes]:
    """A few parts of 64 KB from within a large input, packed as it is. Raises RejectedError, `input_gone`."""
    starts = [source.size * part // (SAMPLES + 1) for part in range(1, SAMPLES + 1)]
    with _gone(source):
        return [
            _bytes(_blob(source).download_as_bytes(start=start, end=start + HEAD_BYTES - 1, raw_download=True))
            for start in starts
        ]


def expected_size(source: Input, *, packed: bool) -> int:
    """The size of the content; of a packed one, what it unpacks to if the rest of it is like the beginning.

    Raises:
        RejectedError: `input_gone`, or `undecodable` for damaged gzip.
    """
    if not packed:
        return source.size
    with _gone(source):
        content = _bytes(_blob(source).download_as_bytes(end=HEAD_BYTES - 1, raw_download=True))
    data, _ = compression.unpack(content, EXPANDED_BYTES)
    return math.ceil(source.size * len(data) / max(1, len(content)))


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
    """The input as a seekable stream that holds a few chunks in memory at a time; `packed` as in its head.

    Reading raises RejectedError if the input is replaced or deleted meanwhile, longer than `limit` bytes or cannot be
    unpacked; and ServiceUnavailable if it ends before the size of `source`, as `measured` gives it.
    """
    check_size(source, limit)
    with _gone(source):
        blob = _blob(source).open("rb", chunk_size=CHUNK_BYTES, raw_download=True)
        stream = io.BufferedReader(_Whole(blob, source.size, limit), CHUNK_BYTES)
        yield io.BufferedReader(compression.Unpacked(stream, limit), CHUNK_BYTES) if packed else stream


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


def _longer(limit: int) -> RejectedError:
    return RejectedError("too_large", f"The input is longer than the {limit:,} bytes that are accepted.")


def measured(source: Input) -> Input:
    """The input with the size that Cloud Storage reports. Raises RejectedError, `input_gone`."""
    blob: Blob | None = storage.bucket(source.bucket).get_blob(source.name, generation=source.generation)
    if blob is None:
        raise gone(source)
    return replace(source, size=blob.size or 0)


class _Whole(io.RawIOBase):
    """An object's stream, whose end before `size` is an error: an empty response would end it silently.

    At most `limit` bytes can be read, whatever size was stated.
    """

    def __init__(self, inner: IO[bytes], size: int, limit: int) -> None:
        self._inner = inner
        self._size = size
        self._limit = limit
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        with memoryview(buffer) as view, view.cast("B") as target:
            data = self._inner.read(len(target))
            target[: len(data)] = data
        self._position += len(data)
        if self._position > self._limit:
            raise _longer(self._limit)
        if not data and self._position < self._size:
            raise ServiceUnavailable(f"Only {self._position} of the input's {self._size} bytes arrived.")
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = self._inner.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position


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
