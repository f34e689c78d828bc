"""Partial responses: reduces a JSON document to the request's `fields` parameter."""

import re
from typing import Any

from emulator.storage.errors import InvalidError

Selection = dict[str, "Selection"]

_TOKEN = re.compile(r"[A-Za-z0-9_*.-]+|[(),/]")


def select(document: Any, fields: str) -> Any:
    """The parts of a document that `fields` selects, such as `items(name,size),nextPageToken` or `items/name`.

    Raises:
        InvalidError: `fields` is malformed.
    """
    tokens = _TOKEN.findall(fields)
    if "".join(tokens) != re.sub(r"\s", "", fields) or not tokens:
        raise _invalid(fields)
    try:
        selection, rest = _selection(tokens, fields)
    except RecursionError as error:
        raise _invalid(fields[:100]) from error
    if rest:
        raise _invalid(fields)
    return _kept(document, selection)


def _selection(tokens: list[str], fields: str) -> tuple[Selection, list[str]]:
    selection: Selection = {}
    while True:
        tokens = _field(tokens, selection, fields)
        if not tokens or tokens[0] != ",":
            return selection, tokens
        tokens = tokens[1:]


def _field(tokens: list[str], selection: Selection, fields: str) -> list[str]:
    """Parse one path and the parentheses after it into `selection`; returns the remaining tokens."""
    inner = selection
    while True:
        if not tokens or tokens[0] in "(),/":
            raise _invalid(fields)
        inner = inner.setdefault(tokens[0], {})
        tokens = tokens[1:]
        if not tokens or tokens[0] != "/":
            break
        tokens = tokens[1:]
    if tokens and tokens[0] == "(":
        nested, tokens = _selection(tokens[1:], fields)
        if not tokens or tokens[0] != ")":
            raise _invalid(fields)
        inner.update(nested)
        tokens = tokens[1:]
    return tokens


def _kept(document: Any, selection: Selection) -> Any:
    if not selection:
        return document
    if isinstance(document, list):
        return [_kept(each, selection) for each in document]
    if not isinstance(document, dict):
        return document
    every = selection.get("*")
    return {
        key: _kept(value, selection.get(key, every or {}))
        for key, value in document.items()
        if key in selection or every is not None
    }


def _invalid(fields: str) -> InvalidError:
    return InvalidError(f"Invalid field selection {fields}")
