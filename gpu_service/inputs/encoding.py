"""Reads an object's bytes as text: by byte order mark, as UTF-8, or as the Western encoding that older files are in."""

import codecs
import re

MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")
MAX_CONTROLS = 0.01  # of the characters; text has next to none
MAX_ACCENTED = 0.2  # of the letters, in the languages that cp1252 is for
NOT_IN_WORDS = re.compile(r"(?<=[^\W\d_])[¹²³¼½¾¿¡¤¦¨ª¬¯±¶¸º×÷]")  # letters of other encodings look like this


def decode(data: bytes) -> str | None:
    """The text without its byte order mark; None when it is none."""
    for mark, codec in MARKS:
        if data.startswith(mark):
            return _read(data, codec)
    if b"\0" in data:
        return None
    text = _read(data, "utf-8")
    return _western(data) if text is None else text


def _read(data: bytes, codec: str) -> str | None:
    try:
        text = data.decode(codec)
    except UnicodeError:
        return None
    return text if len(CONTROLS.findall(text)) <= MAX_CONTROLS * len(text) else None


def _western(data: bytes) -> str | None:
    """As cp1252, if that makes words of mostly unaccented letters."""
    text = _read(data, "cp1252")
    if text is None or NOT_IN_WORDS.search(text):
        return None
    letters = [character for character in text if character.isalpha()]
    accented = sum(not letter.isascii() for letter in letters)
    return text if accented <= MAX_ACCENTED * len(letters) else None
