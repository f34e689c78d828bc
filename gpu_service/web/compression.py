"""Content codings: decompresses requests within a limit, and compresses large responses for clients that accept it."""

import re
import zlib
from collections.abc import Sequence

from gpu_service.errors import MalformedRequest, TooLarge, UnsupportedEncoding

GZIP = 16 + zlib.MAX_WBITS
WINDOWS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": zlib.MAX_WBITS}
MIN_BYTES = 1024  # below, compressing takes longer than sending
LEVEL = 1  # the fastest
ACCEPTED = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*q\s*=\s*([0-9.]+))?[^,]*", re.IGNORECASE)


def request_coding(values: Sequence[str]) -> str | None:
    """The coding that the Content-Encoding headers name; None for a body as it is.

    Raises:
        UnsupportedEncoding: an unknown coding, or more than one.
    """
    names = [name.strip().lower() for value in values for name in value.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in WINDOWS:
        raise UnsupportedEncoding(", ".join(codings))
    return codings[0]


def decompress(body: bytes, coding: str, limit: int) -> bytes:
    """The content of a whole compressed body; `deflate` with or without the header of zlib.

    Raises:
        MalformedRequest: the body is damaged, incomplete, or followed by other data.
        TooLarge: the content has more than `limit` bytes; nothing is decompressed beyond them.
    """
    window = WINDOWS[coding]
    if coding == "deflate" and not _has_zlib_header(body):
        window = -zlib.MAX_WBITS
    inflater = zlib.decompressobj(window)
    try:
        content = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise MalformedRequest(f"The body is not valid {coding}.") from error
    if len(content) > limit:
        raise TooLarge(f"The decompressed body may have at most {limit} bytes.")
    if not inflater.eof or inflater.unused_data:
        raise MalformedRequest(f"The body must be one complete {coding} stream.")
    return content


def response_coding(values: Sequence[str]) -> str | None:
    """The coding that a client accepts by its Accept-Encoding headers, gzip before deflate; None for none."""
    weights = {name.lower(): _weight(weight) for value in values for name, weight in ACCEPTED.findall(value)}
    for coding in ("gzip", "deflate"):
        if weights.get(coding, weights.get("*", 0)):
            return coding
    return None


def compress(body: bytes, coding: str) -> bytes:
    return zlib.compress(body, LEVEL, WINDOWS[coding])


def _weight(digits: str) -> float:
    try:
        return float(digits or 1)
    except ValueError:
        return 0


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
