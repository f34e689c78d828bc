"""`text`: strings, with RE2 regular expressions."""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

import re2

from emulator.workflows.errors import type_error, value_error
from emulator.workflows.library import expecting
from emulator.workflows.library.table import declare
from emulator.workflows.values import shown_type

_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")


def decode(data: Any, charset: Any = "UTF-8") -> str:
    """Bytes as text; what the charset doesn't know becomes U+FFFD."""
    name = expecting.string("text.decode", "charset", charset)
    if type(data) is not bytes:
        raise type_error(f"text.decode: argument 'data' must be bytes, got {shown_type(data)}")
    try:
        return data.decode(name, "replace")
    except LookupError as error:
        raise value_error(f"text.decode: {error}") from None


def encode(text: Any, charset: Any = "UTF-8") -> bytes:
    """Text as bytes."""
    name = expecting.string("text.encode", "charset", charset)
    try:
        return expecting.string("text.encode", "text", text).encode(name)
    except (UnicodeEncodeError, LookupError) as error:
        raise value_error(f"text.encode: {error}") from None


def find_all(source: Any, substr: Any) -> list[int]:
    """Where a text occurs, without overlaps."""
    haystack = expecting.string("text.find_all", "source", source)
    needle = expecting.string("text.find_all", "substr", substr)
    return [match.start() for match in re.finditer(re.escape(needle), haystack)]


def find_all_regex(source: Any, regexp: Any) -> list[dict[str, Any]]:
    """Where a pattern matches, and what."""
    subject = expecting.string("text.find_all_regex", "source", source)
    pattern = _pattern("text.find_all_regex", regexp)
    return [{"index": match.start(), "match": match.group()} for match in pattern.finditer(subject)]


def match_regex(source: Any, regexp: Any) -> bool:
    """Whether a pattern matches anywhere."""
    subject = expecting.string("text.match_regex", "source", source)
    return _pattern("text.match_regex", regexp).search(subject) is not None


def replace_all(source: Any, substr: Any, repl: Any) -> str:
    """The text with each occurrence replaced."""
    name = "text.replace_all"
    subject = expecting.string(name, "source", source)
    return subject.replace(expecting.string(name, "substr", substr), expecting.string(name, "repl", repl))


def replace_all_regex(source: Any, regexp: Any, repl: Any) -> str:
    """The text with each match replaced; the replacement is literal."""
    name = "text.replace_all_regex"
    subject = expecting.string(name, "source", source)
    replacement = expecting.string(name, "repl", repl)
    return str(_pattern(name, regexp).sub(lambda _match: replacement, subject))


def _pattern(function: str, regexp: Any) -> Any:
    try:
        return _compiled(expecting.string(function, "regexp", regexp))
    except re2.error as error:
        reason = error.args[0] if error.args else error
        shown = reason.decode("utf-8", "replace") if type(reason) is bytes else reason
        raise value_error(f"{function}: invalid regular expression: {shown}") from None


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.longest_match = True
    options.log_errors = False
    return re2.compile(pattern, options)  # type: ignore[no-untyped-call]


def split(source: Any, separator: Any) -> list[str]:
    """The parts between separators; an empty separator splits after each character."""
    subject = expecting.string("text.split", "source", source)
    between = expecting.string("text.split", "separator", separator)
    return subject.split(between) if between else list(subject)


def substring(source: Any, start: Any, end: Any) -> str:
    """Characters from `start` up to `end`; negative counts from the end, out of range is clamped."""
    subject = expecting.string("text.substring", "source", source)
    first = expecting.integer("text.substring", "start", start)
    return subject[first : expecting.integer("text.substring", "end", end)]


def to_lower(source: Any) -> str:
    """The text in lower case."""
    return expecting.string("text.to_lower", "source", source).lower()


def to_upper(source: Any) -> str:
    """The text in upper case."""
    return expecting.string("text.to_upper", "source", source).upper()


def url_encode(source: Any) -> str:
    """Percent encoding of all but letters, digits and `-_.~`."""
    return quote(expecting.string("text.url_encode", "source", source), safe="")


def url_encode_plus(source: Any) -> str:
    """Percent encoding, with plus signs for spaces."""
    return quote_plus(expecting.string("text.url_encode_plus", "source", source), safe="")


def url_decode(source: Any) -> str:
    """The text of a percent encoding; plus signs are spaces."""
    encoded = expecting.string("text.url_decode", "source", source)
    if _BAD_ESCAPE.search(encoded):
        raise value_error("text.url_decode: incomplete percent escape")
    try:
        return unquote_to_bytes(encoded.replace("+", " ")).decode()
    except UnicodeDecodeError as error:
        raise value_error(f"text.url_decode: {error}") from None


FUNCTIONS = declare(
    "text",
    {
        "decode": ("data charset?", decode),
        "encode": ("text charset?", encode),
        "find_all": ("source substr", find_all),
        "find_all_regex": ("source regexp", find_all_regex),
        "match_regex": ("source regexp", match_regex),
        "replace_all": ("source substr repl", replace_all),
        "replace_all_regex": ("source regexp repl", replace_all_regex),
        "split": ("source separator", split),
        "substring": ("source start end", substring),
        "to_lower": ("source", to_lower),
        "to_upper": ("source", to_upper),
        "url_decode": ("source", url_decode),
        "url_encode": ("source", url_encode),
        "url_encode_plus": ("source", url_encode_plus),
    },
)
