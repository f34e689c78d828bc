"""Unpacks an object that is gzip, within limits, by the same rules as uploads.

The functions have these rules too (pipeline/formats/compression.py), in code of their own; a test keeps the two equal.
"""

import zlib

from gpu_service.errors import InstanceError

MAGIC = b"\x1f\x8b\x08"


def unpacked(data: bytes, limit: int) -> bytes:
    """The content of gzip data, and any other data as they are.

    Raises:
        InstanceError: `decompression_bomb` beyond `limit` bytes, `undecodable` if the data are damaged or incomplete.
    """
    if not data.startswith(MAGIC):
        return data
    content = bytearray()
    while data.startswith(MAGIC):
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            content += member.decompress(data, limit - len(content) + 1)
        except zlib.error as error:
            raise _damaged() from error
        if len(content) > limit:
            raise InstanceError(f"The object unpacks to more than {limit:,} bytes.", "decompression_bomb")
        if not member.eof:
            raise _damaged()
        data = member.unused_data.lstrip(b"\0")  # padding by tapes and some tools
    if data:
        raise _damaged()
    return bytes(content)


def _damaged() -> InstanceError:
    return InstanceError("The gzip data is damaged or incomplete.", "undecodable")
