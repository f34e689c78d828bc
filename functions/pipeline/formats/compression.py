"""Unpacks gzip, a `.gz` file or an object with `Content-Encoding: gzip`: the head at once, the rest as a stream.

What comes out is bounded, whatever went in: a few kilobytes can unpack to terabytes.
"""

import gzip
import io
import zlib
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
    """What a packed object's name and content type say of what is inside."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    inner = name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name
    return inner, None if media_type in CONTENT_TYPES else content_type


def unpack(data: bytes, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes of what was packed, and whether that is all that `data` holds.

    Raises:
        RejectedError: `undecodable`.
    """
    found = bytearray()
    while is_packed(data):
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            found += member.decompress(data, limit - len(found) + 1)
        except zlib.error as error:
            raise _damaged() from error
        if not member.eof or len(found) > limit:
            return bytes(found[:limit]), False
        data = member.unused_data.lstrip(b"\0")  # padding, as tape and some tools leave it
    if data:
        raise _damaged()
    return bytes(found), True


def read(data: bytes, limit: int) -> bytes:
    """All that was packed.

    Raises:
        RejectedError: `decompression_bomb` beyond `limit` bytes, `undecodable` when it is damaged or ends early.
    """
    found, whole = unpack(data, limit)
    if whole:
        return found
    if len(found) < limit:
        raise _damaged()
    raise _bomb(limit)


class Unpacked(io.RawIOBase):
    """A packed stream's content, up to `limit` bytes.

    Reading raises RejectedError: `decompression_bomb` or `undecodable`.
    """

    def __init__(self, packed: IO[bytes], limit: int) -> None:
        self._inner = gzip.GzipFile(fileobj=packed)
        self._left = limit
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        try:
            count = self._inner.readinto(buffer)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _damaged() from error
        self._left -= count
        if self._left < 0:
            raise _bomb(self._limit)
        return count


def _bomb(limit: int) -> RejectedError:
    return RejectedError("decompression_bomb", f"The input unpacks to more than {limit:,} bytes.")


def _damaged() -> RejectedError:
    return RejectedError("undecodable", "The gzip data are damaged, or end before they are complete.")
