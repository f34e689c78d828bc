"""Quotes expressions inside YAML's flow collections (`[…]`, `{…}`): the service accepts them, YAML does not."""

import re

from emulator.workflows.syntax.quoting import single_quoted

_START = re.compile(r"(?:^|[:\-,?])[ \t]*(?=[\[{])|^[ \t]*(?=[\[{])", re.MULTILINE)


def quote_expressions(text: str) -> str:
    """The source with each unquoted `${…}` of a flow collection in single quotes.

    `[${a}, "b"]` becomes `['${a}', "b"]`; everything else is unchanged.
    """
    parts: list[str] = []
    at = 0
    for match in _START.finditer(text):
        if match.end() < at:
            continue
        parts.append(text[at : match.end()])
        collection, at = _collection(text, match.end())
        parts.append(collection)
    return "".join([*parts, text[at:]])


def _collection(text: str, start: int) -> tuple[str, int]:
    """One flow collection with its expressions quoted, and the index of its end."""
    parts: list[str] = []
    depth, at = 0, start
    while at < len(text):
        character = text[at]
        if text.startswith("${", at):
            end = _closing(text, at + 2)
            parts.append(single_quoted(text[at:end]))
            at = end
            continue
        end = _quoted(text, at) if character in "\"'" else at + 1
        parts.append(text[at:end])
        at = end
        depth += (character in "[{") - (character in "]}")
        if depth == 0:
            break
    return "".join(parts), at


def _closing(text: str, at: int) -> int:
    """The index after the brace that closes an expression."""
    depth = 1
    while at < len(text) and depth:
        if text[at] == '"':
            at = _quoted(text, at)
            continue
        depth += (text[at] == "{") - (text[at] == "}")
        at += 1
    return at


def _quoted(text: str, at: int) -> int:
    """The index after a quoted string."""
    quote = text[at]
    at += 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" and quote == '"' else 1
    return at + 1
