"""Recognises the purpose of a JSON text, even from its first 64 KB alone."""

import json
import re
from typing import Any, Literal, NoReturn

from pipeline.errors import RejectedError

Shape = Literal["manifest", "records", "other", "broken"]

# A string that never ends is a token too: searching for its end from every quote would take quadratic time.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)


def shape(text: str, *, whole: bool) -> Shape | None:
    """The shape of the JSON: `other` has neither instances nor inputs, `broken` only begins like JSON.

    None if the text does not even begin like JSON. JSON lines are records.
    """
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    if whole:
        try:
            return _of_document(parse(text))
        except RejectedError:
            return "records" if _is_lines(text.splitlines()) else "broken"
    if _is_lines(text.splitlines()[:-1]):
        return "records"
    return _of_keys(top_keys(text))


def is_lines(text: str, *, whole: bool) -> bool:
    """Whether a text of the shape `records` is JSON lines rather than one document."""
    if not whole:
        return _is_lines(text.strip().splitlines()[:-1])
    try:
        return _of_document(parse(text)) != "records"
    except RejectedError:
        return True


def parse(text: str) -> Any:
    """Decodes JSON strictly.

    Raises:
        RejectedError: `invalid_json`, also for NaN, too many digits, and nesting beyond the decoder's limit.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise RejectedError("invalid_json", "The JSON is nested too deeply.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RejectedError("invalid_json", f"The JSON cannot be parsed: {error.msg} at {where}.") from error
    except ValueError as error:
        raise RejectedError("invalid_json", f"The JSON contains a number that cannot be read: {error}.") from error


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


def _of_document(value: Any) -> Shape:
    if isinstance(value, dict) and isinstance(value.get("instances"), list):
        return "records"
    if isinstance(value, dict) and "id" in value and "inputs" in value:
        return "manifest"
    return "other"


def _of_keys(keys: set[str]) -> Shape:
    if "instances" in keys:
        return "records"
    if "inputs" in keys:
        return "manifest"
    return "other" if keys else "broken"


def _is_lines(lines: list[str]) -> bool:
    """Whether these are JSON lines: the first and more than half of all are objects."""
    lines = [line for line in lines if line.strip()]
    return bool(lines) and _is_object(lines[0]) and 2 * sum(map(_is_object, lines)) > len(lines)


def _is_object(line: str) -> bool:
    try:
        return isinstance(parse(line), dict)
    except RejectedError:
        return False


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
