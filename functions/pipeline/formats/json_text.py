"""Recognises the purpose of a JSON text, even from its first 64 KB alone."""

import json
import math
import re
from typing import Any, Literal, NoReturn

from pipeline.errors import RejectedError

Shape = Literal["manifest", "records", "other", "broken"]

FIELDS = frozenset(("text", "image", "uri"))
SAMPLE_LINES = 400
MAX_DEPTH = 100
MAX_VALUES = 1_000_000  # each takes up to 300 bytes when it is decoded, so that 32 MiB of brackets would take gigabytes

# A string that never ends is a token too: searching for its end from every quote would take quadratic time.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
HALF = re.compile(r"\\u[dD]")  # of a character beyond 16 bits, which JSON escapes as a pair
LINE_END = re.compile(r"\r\n?|\n")
ARRAY = re.compile(r'\[\s*[{"]')
STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\],]', re.DOTALL)


def shape(text: str, *, whole: bool, declared: bool = False, strings: bool = False) -> Shape | None:
    """The shape of the JSON: `other` has neither records nor inputs, `broken` only begins like JSON.

    None if the text is not like JSON. JSON lines, `{"instances": […]}` and an array are records, if they hold any.

    Args:
        declared: whether the text is said to be JSON lines, so that a single object among them is enough.
        strings: whether the text is said to be JSON, so that bare strings are records, too.
    """
    text = text.strip()
    if not text.startswith(("{", "[")):
        is_possible = "\n{" in text or (strings and text.startswith('"'))
        lines_of_it = _complete(text, whole=whole) if is_possible else []
        return "records" if _is_lines(lines_of_it, declared=declared, strings=strings) else None
    if whole:
        try:
            return _of_document(parse(text))
        except RejectedError:
            return "records" if _is_lines(lines(text), declared=declared, strings=strings) else "broken"
    complete = _complete(text, whole=whole)
    if _is_lines(complete, declared=declared, strings=strings) or (strings and ARRAY.match(text)):
        return "records"
    keys = top_keys(text)
    if not complete and "instances" not in keys and (declared or keys & FIELDS):
        return "records"  # the first line goes on, as with a photo in it
    return _of_keys(keys)


def is_lines(text: str, *, whole: bool) -> bool:
    """Whether a text of the shape `records` is JSON lines rather than one document."""
    text = text.strip()
    if not whole:
        is_document = text.startswith("[") or "instances" in top_keys(text)
        return not is_document or _is_lines(_complete(text, whole=whole))
    try:
        return _of_document(parse(text)) != "records"
    except RejectedError:
        return True


def are_values(text: str, *, whole: bool) -> bool:
    """Whether most lines are JSON of any kind."""
    complete = [line for line in _complete(text.strip(), whole=whole)[:SAMPLE_LINES] if line.strip()]
    return 2 * sum(_decoded(line) is not None for line in complete) > len(complete)


def records(text: str, *, whole: bool) -> list[dict[str, Any]]:
    """The objects among the first lines; or, of a complete document, among its records."""
    if is_lines(text, whole=whole):
        values = list(map(_decoded, _complete(text.strip(), whole=whole)[:SAMPLE_LINES]))
    else:
        values = of_document(parse(text))[:SAMPLE_LINES] if whole else []
    return [value for value in values if isinstance(value, dict)]


def of_document(value: Any) -> list[Any]:
    """The records of a decoded document of the shape `records`."""
    found: list[Any] = value["instances"] if isinstance(value, dict) else value
    return found


def parse(text: str) -> Any:
    """Decodes JSON strictly.

    Raises:
        RejectedError: `invalid_json`, also for NaN, too many digits, and more than MAX_DEPTH levels; `too_large` for
            more than MAX_VALUES values.
    """
    _check_structure(text)
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        if HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RejectedError("invalid_json", "The JSON contains half of a character, such as \\ud83d alone.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RejectedError("invalid_json", f"The JSON cannot be parsed: {error.msg} at {where}.") from error
    except ValueError as error:
        raise RejectedError("invalid_json", f"The JSON contains a number that cannot be read: {error}.") from error
    return value


def top_keys(text: str) -> set[str]:
    """The keys of an object that may be cut off; empty if the text is not an object."""
    keys: set[str] = set()
    depth, last = 0, ""
    for piece in TOKEN.findall(text):
        if piece in "{[":
            depth += 1
        elif piece in "}]":
            depth -= 1
        elif piece == ":" and depth == 1 and last.startswith('"'):
            keys.add(last[1:-1])
        last = piece
    return keys if text.startswith("{") else set()


def lines(text: str) -> list[str]:
    """The lines, which only line feeds and carriage returns end: a JSON string may contain U+2028 as it is."""
    return LINE_END.split(text)


def _check_structure(text: str) -> None:
    """Bounds the depth, and the number of values by their opening brackets and commas."""
    brackets = text.count("[") + text.count("{")
    if brackets <= MAX_DEPTH and brackets + text.count(",") <= MAX_VALUES:  # true of nearly all lines, and quick
        return
    depth = values = 0
    for match in STRUCTURE.finditer(text):
        mark = match[0]
        if mark in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise RejectedError("invalid_json", f"The JSON has more than {MAX_DEPTH} levels of nesting.")
        elif mark in ("]", "}"):
            depth -= 1
        values += mark in ("[", "{", ",")
        if values > MAX_VALUES:
            raise RejectedError("too_large", f"The JSON has more than {MAX_VALUES:,} values; JSON lines may have more.")


def _of_document(value: Any) -> Shape:
    if isinstance(value, dict) and isinstance(value.get("instances"), list):
        return "records"
    if isinstance(value, dict) and "id" in value and "inputs" in value:
        return "manifest"
    if isinstance(value, list) and any(isinstance(record, dict | str) for record in value):
        return "records"
    return "other"


def _of_keys(keys: set[str]) -> Shape:
    if "instances" in keys:
        return "records"
    if "inputs" in keys:
        return "manifest"
    return "other" if keys else "broken"


def _complete(text: str, *, whole: bool) -> list[str]:
    """The lines but the last one if the text is cut off."""
    return lines(text) if whole else lines(text)[:-1]


def _is_lines(lines: list[str], *, declared: bool = False, strings: bool = False) -> bool:
    """Whether these are JSON lines: more than half of them are objects; one is enough if they are declared.

    Args:
        strings: whether strings count, too.
    """
    lines = [line for line in lines if line.strip()]
    count = sum(isinstance(_decoded(line), dict | str if strings else dict) for line in lines)
    return count > 0 and (declared or 2 * count > len(lines))


def _decoded(line: str) -> Any:
    """The value of a line; None if it is not JSON."""
    try:
        return parse(line)
    except RejectedError:
        return None


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits:.20} is too large")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
