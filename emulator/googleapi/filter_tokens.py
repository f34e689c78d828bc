"""The tokens of filters, for the parsers of both filter languages: AIP-160's and Pub/Sub's."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emulator.googleapi.errors import InvalidArgumentError

_MAX_DEPTH = 50
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<operator><=|>=|!=|=|<|>|:)
    | (?P<mark>[(),.]|-(?=[A-Za-z(]))
    | (?P<word>[^\s"'()<>=!:.,]+(?:(?<=\d)\.\d[^\s"'()<>=!:.,]*)?)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token: `kind` is string, operator, mark or word, and "" at the end of the filter."""

    kind: str
    text: str
    start: int


class Tokens:
    """Reads a filter token by token.

    Raises:
        InvalidArgumentError: a character begins no token.
    """

    def __init__(self, text: str) -> None:
        self._text, self._next, self._depth = text, 0, 0
        self._tokens = list(self._split())

    def _split(self) -> Iterator[Token]:
        position, end = 0, len(self._text.rstrip())
        while position < end:
            match = _TOKEN.match(self._text, position)
            if not match:
                raise self.error("unexpected character", Token("", "", position))
            kind = str(match.lastgroup)
            yield Token(kind, match[kind], match.start(kind))
            position = match.end()
        yield Token("", "", end)

    def peek(self) -> Token:
        """The next token, without reading it."""
        return self._tokens[self._next]

    def take(self) -> Token:
        """Read the next token."""
        token = self.peek()
        if not token.kind:
            raise self.error("unexpected end")
        self._next += 1
        return token

    def accept(self, *texts: str) -> str:
        """Read the next token if it is one of these and not a string; "" otherwise."""
        token = self.peek()
        if token.kind == "string" or token.text not in texts or not token.kind:
            return ""
        self._next += 1
        return token.text

    def expect(self, *texts: str) -> str:
        """Read the next token, which has to be one of these."""
        text = self.accept(*texts)
        if not text:
            raise self.error(f"expected {' or '.join(texts)}")
        return text

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Parse an inner expression: parsers recurse, so their depth must have a limit."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.error(f"nested more than {_MAX_DEPTH} levels deep")
        yield
        self._depth -= 1

    def error(self, problem: str, token: Token | None = None) -> InvalidArgumentError:
        """An error at a token, by default the next one."""
        column = (token or self.peek()).start + 1
        return InvalidArgumentError(f"Invalid filter at column {column}: {problem}: {self._text}", field="filter")
