"""`text`: strings, with RE2 regular expressions."""

import functools
import re
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

import re2

from emulator.workflows.errors import value_error
from emulator.workflows.library.builtin import declare

_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")


def decode(data: bytes, charset: str = "UTF-8") -> str:
    """Bytes as text; bytes that are invalid in the charset become U+FFFD."""
    try:
        return data.decode(charset, "replace")
    except LookupError as error:
        raise value_error(f"text.decode: {error}") from None


def encode(text: str, charset: str = "UTF-8") -> bytes:
    try:
        return text.encode(charset)
    except (UnicodeEncodeError, LookupError) as error:
        raise value_error(f"text.encode: {error}") from None


def find_all(source: str, substr: str) -> list[int]:
    """The indexes of a substring, without overlaps."""
    return [match.start() for match in re.finditer(re.escape(substr), source)]


def find_all_regex(source: str, regexp: str) -> list[dict[str, Any]]:
    pattern = _pattern("text.find_all_regex", regexp)
    return [{"index": match.start(), "match": match.group()} for match in pattern.finditer(source)]


def match_regex(source: str, regexp: str) -> bool:
    """Whether a pattern matches anywhere."""
    return _pattern("text.match_regex", regexp).search(source) is not None


def replace_all(source: str, substr: str, repl: str) -> str:
    return source.replace(substr, repl)


def replace_all_regex(source: str, regexp: str, repl: str) -> str:
    """The text with each match replaced; the replacement is literal."""
    return str(_pattern("text.replace_all_regex", regexp).sub(lambda _match: repl, source))


def _pattern(function: str, regexp: str) -> Any:
    try:
        return _compiled(regexp)
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


def split(source: str, separator: str) -> list[str]:
    """The parts between separators; an empty separator splits after each character."""
    return source.split(separator) if separator else list(source)


def substring(source: str, start: int, end: int) -> str:
    """Characters from `start` up to `end`; negative counts from the end, out of range is clamped."""
    return source[start:end]


def to_lower(source: str) -> str:
    return source.lower()


def to_upper(source: str) -> str:
    return source.upper()


def url_encode(source: str) -> str:
    """Percent-encode all but letters, digits and `-_.~`."""
    return quote(source, safe="")


def url_encode_plus(source: str) -> str:
    """Percent-encode, with plus signs for spaces."""
    return quote_plus(source, safe="")


def url_decode(source: str) -> str:
    """Undo percent encoding; plus signs are spaces."""
    if _BAD_ESCAPE.search(source):
        raise value_error("text.url_decode: incomplete percent escape")
    try:
        return unquote_to_bytes(source.replace("+", " ")).decode()
    except UnicodeDecodeError as error:
        raise value_error(f"text.url_decode: {error}") from None


FUNCTIONS = declare(
    "text",
    {
        "decode": decode,
        "encode": encode,
        "find_all": find_all,
        "find_all_regex": find_all_regex,
        "match_regex": match_regex,
        "replace_all": replace_all,
        "replace_all_regex": replace_all_regex,
        "split": split,
        "substring": substring,
        "to_lower": to_lower,
        "to_upper": to_upper,
        "url_decode": url_decode,
        "url_encode": url_encode,
        "url_encode_plus": url_encode_plus,
    },
)
