"""Decodes texts: recognises their encoding, and reads stray bytes as old Western programs write them."""

import codecs
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import IO, NamedTuple

from pipeline.errors import RejectedError
from pipeline.formats import charsets


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
IN_PLACE = 0.85  # share of the zero bytes that must be at those offsets; surrogates have some elsewhere
STRAY = 0.3  # share of zeros below which they are stray, if the other bytes are a text in UTF-8


class Encoding(NamedTuple):
    """A codec, and whether the content only resembles texts in it: no mark, name or form of the bytes shows it."""

    codec: str
    is_guess: bool = False


def decode(data: bytes, charset: str | None = None, *, strict: bool = True) -> str:
    """The whole input as text, without its byte order mark; `charset` as for `encoding`.

    Args:
        strict: whether stray bytes behind the first 64 KB make it undecodable, if they are no exception in UTF-8.

    Raises:
        RejectedError: `undecodable`.
    """
    return _decode(data, encoding(data, charset).codec, strict=strict)


def decode_head(head: bytes, charset: str | None = None, *, whole: bool) -> str:
    """The first bytes of an input as text, without a character that is cut off at their end."""
    return _decode(head, encoding(head, charset, whole=whole).codec, whole=whole)


class Lines(Iterator[str]):
    """A stream's lines, each with its ending; one longer than `limit` characters is cut to `limit` + 1.

    Args:
        newline: as for `open`: what ends a line, or "" for any line ending.
    """

    def __init__(self, stream: IO[bytes], codec: str, limit: int, *, newline: str = "") -> None:
        self._text = io.TextIOWrapper(stream, encoding=codec, errors=ERRORS, newline=newline)
        self._limit = limit
        self._endings = (newline,) if newline else ("\n", "\r")

    def __next__(self) -> str:
        line = part = self._text.readline(self._limit + 1)
        if not line:
            raise StopIteration
        while len(part) > self._limit and not part.endswith(self._endings):
            part = self._text.readline(self._limit + 1)
        return line

    @property
    def position(self) -> int:
        """That of the next line: a byte offset, and in its upper bits the decoder's state where it has one."""
        return self._text.tell()

    def seek(self, position: int) -> None:
        """Continues at a position of the same content."""
        self._text.seek(position)


def encoding(data: bytes, charset: str | None = None, *, whole: bool = True) -> Encoding:
    """The encoding of `data`, by its first 64 KB.

    Args:
        charset: the one that the sender declares; it holds if the data have no byte order mark and are text in it.

    Raises:
        RejectedError: `undecodable`.
    """
    for mark, name in MARKS:
        if data.startswith(mark):
            return Encoding(name)
    sample = data[:SAMPLE_BYTES]
    whole = whole and len(sample) == len(data)
    codec = charsets.declared(charset)
    for name in charsets.readings(codec) if codec else ():
        if _reads(sample, name, whole=whole):
            return Encoding(name)
    if sample.count(0) > MAX_CONTROLS * len(sample):
        return Encoding(_wide(sample, whole=whole))
    for name in charsets.escaped(sample):
        if _reads(sample, name, whole=whole):
            return Encoding(name)
    if _reads(sample, "utf-8", whole=whole) or _is_mostly_utf8(sample):
        return Encoding("utf-8")
    guess = _guess(sample, whole=whole)
    if guess and _reads(sample, guess, whole=whole):
        return Encoding(guess, is_guess=True)
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
        in_place = zeros >= max(least * len(sample), at_least, IN_PLACE * sample.count(0))
        if in_place and _reads(sample, name, whole=whole):
            return name
    raise RejectedError("undecodable", "The content has zero bytes: it is binary, or damaged text.")


def _guess(sample: bytes, *, whole: bool) -> str | None:
    if not _is_legible(sample.decode("latin-1")):
        return None
    lines = sample if whole else sample.rpartition(b"\n")[0]  # the last one ends in part of a character
    return charsets.guess(lines or sample)


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
