"""Glob patterns of the parameter `matchGlob`."""

from re import escape

import re2

from emulator.storage.errors import InvalidError


class Glob:
    """A pattern that matches whole names.

    `*` matches any characters except `/`, `**` any characters, `**/` at the start of a segment any folders or none, `?`
    one character except `/`, `[a-z]` and `[!a-z]` one character of a set, `{a,b}` either alternative; a backslash
    escapes the next character.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._expression = re2.compile(f"(?s:{_expression(pattern)})")  # type: ignore[no-untyped-call]
        except re2.error as error:
            raise InvalidError(f"Invalid glob pattern: {pattern!r}") from error

    def matches(self, name: str) -> bool:
        return self._expression.fullmatch(name) is not None


def _expression(pattern: str) -> str:
    parts = []
    depth = 0
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] in "/{,"):
            parts.append("(?:.*/)?")
            at += 2
        elif pattern.startswith("**", at):
            parts.append(".*")
            at += 1
        elif character == "[":
            end = pattern.find("]", at + 2)
            if end < 0:
                raise InvalidError(f"Invalid glob pattern: {pattern!r}")
            parts.append(_set(pattern[at + 1 : end]))
            at = end
        elif character == "\\" and at + 1 < len(pattern):
            at += 1
            parts.append(escape(pattern[at]))
        elif character in "{}," and (depth or character == "{"):
            depth += {"{": 1, "}": -1, ",": 0}[character]
            parts.append({"{": "(?:", "}": ")", ",": "|"}[character])
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(character) or escape(character))
        at += 1
    if depth:
        raise InvalidError(f"Invalid glob pattern: {pattern!r}")
    return "".join(parts)


def _set(members: str) -> str:
    negated = members[0] in "!^"
    inner = members[1:] if negated else members
    escaped = inner.replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    return f"[{'^' if negated else ''}{escaped}]"
