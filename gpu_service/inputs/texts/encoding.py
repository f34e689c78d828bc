"""Decodes an object's bytes as text, by the same rules as uploads.

The functions have these rules too (pipeline/formats/text.py), in code of their own; a test keeps the two equal.
"""

import codecs
import itertools
import re
from collections.abc import Iterator
from email.message import Message
from itertools import islice

from gpu_service.inputs.texts import charsets

BYTE_ORDER_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE_BYTES = 64 * 1024
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")
UNASSIGNED = re.compile(r"[\U00040000-\U000dffff]")  # what UTF-16 becomes when it is read as UTF-32
MAX_CONTROLS = 0.01  # of the characters; text has hardly any
WIDE = (  # codec, bytes of a code unit, offsets of its zero bytes in most scripts, least share of zero bytes
    ("utf-32-le", 4, (1, 2, 3), 0.45),
    ("utf-32-be", 4, (0, 1, 2), 0.45),
    ("utf-16-le", 2, (1,), 0.05),
    ("utf-16-be", 2, (0,), 0.05),
)
IN_PLACE = 0.85  # share of the zero bytes that must be at those offsets; surrogates have some elsewhere
MOSTLY = 2  # characters in UTF-8 for each stray byte; in texts of other encodings they are fewer than one in six
ASCII = frozenset(map(chr, range(128)))
STRAY = 0.3  # share of zero bytes below which they are stray, if the other bytes are a text in UTF-8


def _stray(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


ERRORS = "gpu_service.stray"
"""The error handler's name: it reads a stray byte in UTF-8 as cp1252."""

codecs.register_error(ERRORS, _stray)


def decode(data: bytes, content_type: str | None = None) -> str | None:
    """The text without its byte order mark, in the charset of the content type if it is text in that.

    None when `data` is not text.
    """
    codec = _codec(data, _charset(content_type))
    text = None if codec is None else _decoded(data, codec, is_whole=True)
    if text is None and codec == "utf-8" and _is_mostly_utf8(data):
        text = data.decode("utf-8", ERRORS)
        return text if _is_legible(text) else None
    return text


def _charset(content_type: str | None) -> str | None:
    parameters = Message()
    parameters["Content-Type"] = content_type or ""
    return charsets.declared(parameters.get_content_charset())


def _codec(data: bytes, declared: str | None) -> str | None:
    for mark, codec in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return codec
    sample = data[:SAMPLE_BYTES]
    is_whole = len(sample) == len(data)
    is_wide = sample.count(0) > MAX_CONTROLS * len(sample)
    candidates = itertools.chain(
        charsets.readings(declared) if declared else (),
        _wide(sample, is_whole=is_whole) if is_wide else charsets.escaped(sample),
    )
    for codec in candidates:
        if _decoded(sample, codec, is_whole=is_whole) is not None:
            return codec
    return None if is_wide else _narrow(sample, is_whole=is_whole)


def _wide(sample: bytes, *, is_whole: bool) -> Iterator[str]:
    """UTF-16 and UTF-32 without a mark: many zero bytes, and nearly all at the same place of a code unit."""
    zeros = sample.count(0)
    reads_without = _decoded(sample.replace(b"\0", b""), "utf-8", is_whole=is_whole) is not None
    expected = max(IN_PLACE * zeros, STRAY * len(sample) if reads_without else 0)
    for codec, unit, offsets, least in WIDE:
        in_place = sum(sample[offset::unit].count(0) for offset in offsets)
        if in_place >= max(least * len(sample), expected):
            yield codec


def _narrow(sample: bytes, *, is_whole: bool) -> str | None:
    """UTF-8, also with a few stray bytes, else the best guess among other encodings."""
    if _decoded(sample, "utf-8", is_whole=is_whole) is not None or _is_mostly_utf8(sample):
        return "utf-8"
    if not _is_legible(sample.decode("latin-1")):
        return None
    lines = sample if is_whole else sample.rpartition(b"\n")[0]  # the last one ends in part of a character
    guess = charsets.guess(lines or sample)
    return guess if guess and _decoded(sample, guess, is_whole=is_whole) is not None else None


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether far more characters are encoded in UTF-8 than there are stray bytes."""
    text = data.decode("utf-8", "replace")
    if not _is_legible(text):
        return False
    strays = text.count("\ufffd")
    return sum(map(text.count, set(text) - ASCII)) - strays >= MOSTLY * strays


def _decoded(data: bytes, codec: str, *, is_whole: bool) -> str | None:
    """None when the codec cannot read it, or reads too many control characters."""
    try:
        text = codecs.getincrementaldecoder(codec)().decode(data, final=is_whole)
    except (UnicodeError, LookupError):
        return None
    is_utf16 = codec.startswith("utf-32") and UNASSIGNED.search(text)
    return text if _is_legible(text) and not is_utf16 else None


def _is_legible(text: str) -> bool:
    """Whether hardly any characters are controls; stops at the first that is too many."""
    most = int(MAX_CONTROLS * len(text))
    return next(islice(CONTROLS.finditer(text), most, None), None) is None
