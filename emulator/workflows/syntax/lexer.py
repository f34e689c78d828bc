"""Splits the text of an expression into tokens."""

import re
from dataclasses import dataclass
from typing import Any


class ExpressionError(Exception):
    """The text of an expression is invalid at `position` (0-based)."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is number, string, name, end, or the operator itself."""

    kind: str
    value: Any
    position: int


_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<operator>//|==|!=|<=|>=|[-+*/%<>()\[\].,])
    """,
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = {"and": "and", "AND": "and", "or": "or", "OR": "or", "not": "not", "NOT": "not", "in": "in"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "'": "'", "n": "\n", "t": "\t", "r": "\r",
    "b": "\b", "f": "\f", "a": "\a", "v": "\v", "0": "\0",
}  # fmt: skip


def tokenize(text: str) -> list[Token]:
    """The tokens of an expression; the last one has the kind `end`.

    Raises:
        ExpressionError: a character or literal is not part of the language.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unexpected(text, position)
        kind = match.lastgroup
        if kind == "number":
            tokens.append(Token("number", _number(match.group(), position), position))
        elif kind == "string":
            tokens.append(Token("string", _string(match.group(), position), position))
        elif kind == "name":
            name = match.group()
            tokens.append(Token(_KEYWORDS.get(name, "name"), name, position))
        elif kind == "operator":
            tokens.append(Token(match.group(), match.group(), position))
        position = match.end()
    tokens.append(Token("end", None, len(text)))
    return tokens


def _unexpected(text: str, position: int) -> ExpressionError:
    character = text[position]
    if character == '"':
        return ExpressionError("string is not closed", position)
    if character == "'":
        return ExpressionError("strings are written in double quotes", position)
    if character == "=":
        return ExpressionError("'=' is not an operator; compare with '=='", position)
    if character in "{}":
        return ExpressionError(f"unexpected '{character}': an expression has no map literals", position)
    return ExpressionError(f"unexpected character {character!r}", position)


def _number(text: str, position: int) -> int | float:
    if text.isascii() and text.isdigit():
        if len(text) > 19 or int(text) >= 2**63:
            raise ExpressionError("integer does not fit into 64 bits", position)
        return int(text)
    number = float(text)
    if number == float("inf"):
        raise ExpressionError("number is too large", position)
    return number


def _string(literal: str, position: int) -> str:
    body = literal[1:-1]
    if "\\" not in body:
        return body

    def replace(match: re.Match[str]) -> str:
        code = match.group(1)
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise ExpressionError(f"unknown escape '\\{code}'", position + 1 + match.start())
        return _ESCAPES[code]

    text = _ESCAPE.sub(replace, body)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ExpressionError("half of a surrogate pair", position) from None
