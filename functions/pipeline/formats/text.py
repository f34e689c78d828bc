"""Decodes texts: recognises their encoding, and reads stray bytes as old Western programs write them."""

import codecs
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import IO

from pipeline.errors import RejectedError


def _stray(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    stray = error.object[error.start : error.end]
    if error.encoding.lower().replace("_", "-").startswith("utf-8"):
        return stray.decode("cp1252", "replace"), error.end
    return "\ufffd", error.end


ERRORS = "pipeline.stray"
"""The error handler's name: in UTF-8 it reads a stray byte as cp1252, in other encodings as U+FFFD."""

codecs.register_error(ERRORS, _stray)

MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE_BYTES = 64 * 1024
MAX_CONTROLS = 0.01  # of the characters; text has almost none
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")
MOSTLY = 2  # characters in UTF-8 for each stray byte; in texts of other encodings they are fewer than one in six
ASCII = frozenset(map(chr, range(128)))
UNASSIGNED = re.compile(r"[\U00040000-\U000dffff]")  # what UTF-16 becomes when it is read as UTF-32
WIDE = (  # codec, bytes per code unit, offsets of zeros in most scripts, least share of zeros
    ("utf-32-le", 4, (1, 2, 3), 0.45),
    ("utf-32-be", 4, (0, 1, 2), 0.45),
    ("utf-16-le", 2, (1,), 0.05),
    ("utf-16-be", 2, (0,), 0.05),
)
STRAY = 0.3  # share of zeros below which they are stray, if the other bytes are a text in UTF-8
NOT_IN_WORDS = re.compile(r"(?<=[^\W\d_])[¹²³¼½¾¿¡¤¦¨ª¬¯±¶¸º×÷]")  # letters of other encodings, read as cp1252


def decode(data: bytes, *, strict: bool = True) -> str:
    """The whole input as text, without its byte order mark.

    Args:
        strict: whether stray bytes behind the first 64 KB make it undecodable, if they are no exception in UTF-8.

    Raises:
        RejectedError: `undecodable`.
    """
    return _decode(data, encoding(data), strict=strict)


def decode_head(head: bytes, *, whole: bool) -> str:
    """The first bytes of an input as text, without a character that is cut off at their end."""
    return _decode(head, encoding(head, whole=whole), whole=whole)


def lines(stream: IO[bytes], codec: str, limit: int, *, newline: str = "") -> Iterator[str]:
    """Decodes a stream's lines, each with its ending; a line longer than `limit` characters is cut to `limit` + 1.

    Args:
        newline: as for `open`: what ends a line, or "" for any line ending.
    """
    text = io.TextIOWrapper(stream, encoding=codec, errors=ERRORS, newline=newline)
    endings = (newline,) if newline else ("\n", "\r")
    while line := text.readline(limit + 1):
        yield line
        while len(line) > limit and not line.endswith(endings) and (rest := text.readline(limit + 1)):
            line = rest


def encoding(data: bytes, *, whole: bool = True) -> str:
    """The name of the codec for `data`, by its first 64 KB.

    Raises:
        RejectedError: `undecodable`.
    """
    for mark, name in MARKS:
        if data.startswith(mark):
            return name
    sample = data[:SAMPLE_BYTES]
    whole = whole and len(sample) == len(data)
    if sample.count(0) > MAX_CONTROLS * len(sample):
        return _wide(sample, whole=whole)
    if _reads(sample, "utf-8", whole=whole) or _is_mostly_utf8(sample):
        return "utf-8"
    for name in _legacy(sample):
        if _reads(sample, name, whole=whole):
            return name
    raise RejectedError(
        "undecodable", "The content is not text, or its encoding cannot be recognised. Save it as UTF-8."
    )


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether far more characters are encoded in UTF-8 than there are stray bytes."""
    text = data.decode("utf-8", "replace")
    if not _is_legible(text):
        return False
    strays = text.count("\ufffd")
    return sum(map(text.count, set(text) - ASCII)) - strays >= MOSTLY * strays


def _wide(sample: bytes, *, whole: bool) -> str:
    """UTF-16 or UTF-32 without a mark: many zero bytes, nearly all at the same offsets of a code unit."""
    at_least = STRAY * len(sample) if _reads(sample.replace(b"\0", b""), "utf-8", whole=whole) else 0
    for name, unit, offsets, least in WIDE:
        zeros = sum(sample[offset::unit].count(0) for offset in offsets)
        in_place = zeros >= max(least * len(sample), at_least, 0.95 * sample.count(0))
        if in_place and _reads(sample, name, whole=whole):
            return name
    raise RejectedError("undecodable", "The content has zero bytes: it is binary, or damaged text.")


def _legacy(sample: bytes) -> tuple[str, ...]:
    """The candidates; a short Western text is too little to guess by, and nearly all of those are cp1252."""
    if not _is_legible(sample.decode("latin-1")):
        return ()
    if _is_western(sample):
        return ("cp1252",)
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return () if best is None else (best.encoding,)


def _is_western(sample: bytes) -> bool:
    """Whether the sample in cp1252 is words of mostly ASCII letters, with few accented ones."""
    try:
        text = sample.decode("cp1252")
    except UnicodeError:
        return False
    letters = [char for char in text if char.isalpha()]
    accented = sum(not char.isascii() for char in letters)
    return accented <= 0.2 * len(letters) and not NOT_IN_WORDS.search(text)


def _reads(sample: bytes, name: str, *, whole: bool) -> bool:
    try:
        text = codecs.getincrementaldecoder(name)().decode(sample, final=whole)
    except (UnicodeError, LookupError):
        return False
    return _is_legible(text) and not (name.startswith("utf-32") and UNASSIGNED.search(text))


def _is_legible(text: str) -> bool:
    """Whether hardly any characters are controls; stops at the first that is too many."""
    most = int(MAX_CONTROLS * len(text))
    return next(islice(CONTROLS.finditer(text), most, None), None) is None


def _decode(data: bytes, name: str, *, whole: bool = True, strict: bool = True) -> str:
    decoder = codecs.getincrementaldecoder(name)
    try:
        text = decoder().decode(data, final=whole)
    except UnicodeError as error:
        if strict and not (name == "utf-8" and _is_mostly_utf8(data)):
            raise RejectedError(
                "undecodable", f"The content begins as {name} text but cannot be decoded to its end."
            ) from error
        text = decoder(ERRORS).decode(data, final=whole)
    if not _is_legible(text):
        raise RejectedError("undecodable", "The content has control characters: it is binary, or damaged text.")
    return text
