"""Unpacks gzip (a `.gz` file, or an object with `Content-Encoding: gzip`) within limits.

Kilobytes can unpack to terabytes.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from pipeline.errors import RejectedError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC = b"\x1f\x8b\x08"
CONTENT_TYPES = ("application/gzip", "application/x-gzip")
SUFFIX = ".gz"


def is_packed(head: bytes) -> bool:
    return head.startswith(MAGIC)


def described(name: str, content_type: str | None) -> tuple[str, str | None]:
    """The name and content type of a packed object's content."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    inner = name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name
    return inner, None if media_type in CONTENT_TYPES else content_type


def unpack(data: bytes, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes of the content, and whether that is all of it.

    Raises:
        RejectedError: `undecodable`.
    """
    content = bytearray()
    while is_packed(data):
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            content += member.decompress(data, limit - len(content) + 1)
        except zlib.error as error:
            raise _damaged() from error
        if not member.eof or len(content) > limit:
            return bytes(content[:limit]), False
        data = member.unused_data.lstrip(b"\0")  # padding by tapes and some tools
    if data:
        raise _damaged()
    return bytes(content), True


def read(data: bytes, limit: int) -> bytes:
    """The whole content.

    Raises:
        RejectedError: `decompression_bomb` beyond `limit` bytes, `undecodable` if the data is damaged or incomplete.
    """
    content, whole = unpack(data, limit)
    if whole:
        return content
    if len(content) < limit:
        raise _damaged()
    raise _bomb(limit)


class Unpacked(io.RawIOBase):
    """A packed stream's content, up to `limit` bytes; to seek is to unpack all that lies before.

    Reading raises RejectedError: `decompression_bomb` or `undecodable`.
    """

    def __init__(self, packed: IO[bytes], limit: int) -> None:
        self._inner = gzip.GzipFile(fileobj=packed)
        self._limit = limit

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        with _unpacking():
            count = self._inner.readinto(buffer)
        self._check()
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _unpacking():
            position = self._inner.seek(offset, whence)
        self._check()
        return position

    def tell(self) -> int:
        return self._inner.tell()

    def _check(self) -> None:
        if self._inner.tell() > self._limit:
            raise _bomb(self._limit)


@contextmanager
def _unpacking() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged() from error


def _bomb(limit: int) -> RejectedError:
    return RejectedError("decompression_bomb", f"The input unpacks to more than {limit:,} bytes.")


def _damaged() -> RejectedError:
    return RejectedError("undecodable", "The gzip data is damaged or incomplete.")
