"""The filter language of subscriptions: which messages, by their attributes, a subscription gets.

filter  := term { "AND" term } | term { "OR" term }      (to mix them, use parentheses)
term    := ["NOT" | "-"] ( "(" filter ")" | test )
test    := "attributes" ":" key | "attributes" "." key ("=" | "!=") string
         | "hasPrefix" "(" "attributes" "." key "," string ")"
"""

import re
from collections.abc import Callable, Mapping

from emulator.pubsub.errors import InvalidArgumentError

Filter = Callable[[Mapping[str, str]], bool]

_MAX_BYTES = 256
_TOKEN = re.compile(r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<name>[A-Za-z0-9_](?:[\w-]*\w)?)|(?P<mark>!=|[-=:.,()]))')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[xX]([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def parse(text: str) -> Filter:
    """The predicate that a filter stands for; an empty one takes everything.

    Raises:
        InvalidArgumentError: it is not in the language, or longer than 256 bytes.
    """
    if not text.strip():
        return lambda _: True
    if len(text.encode()) > _MAX_BYTES:
        raise InvalidArgumentError(f"Invalid filter: it is longer than {_MAX_BYTES} bytes.")
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.position = 0

    def _tokens(self) -> list[tuple[int, str]]:
        tokens, end, length = [], 0, len(self.text.rstrip())
        while end < length:
            match = _TOKEN.match(self.text, end)
            if not match:
                raise self._error(end, "unexpected character")
            tokens.append((match.start(match.lastgroup or 0), match[match.lastgroup or 0]))
            end = match.end()
        return tokens

    def _error(self, at: int, problem: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"Invalid filter at column {at + 1}: {problem}: {self.text}")

    def _fail(self, expected: str) -> InvalidArgumentError:
        at = self.tokens[self.position][0] if self.position < len(self.tokens) else len(self.text)
        return self._error(at, f"expected {expected}")

    def _next(self) -> str:
        return self.tokens[self.position][1] if self.position < len(self.tokens) else ""

    def _take(self, *choices: str) -> str:
        token = self._next()
        if token not in choices:
            raise self._fail(" or ".join(choices))
        self.position += 1
        return token

    def parse(self) -> Filter:
        result = self._filter()
        if self._next():
            raise self._fail("AND, OR or the end (AND beside OR needs parentheses)")
        return result

    def _filter(self) -> Filter:
        terms, joiner = [self._term()], self._next()
        while joiner in ("AND", "OR") and self._next() == joiner:
            self.position += 1
            terms.append(self._term())
        if joiner == "OR":
            return lambda attributes: any(term(attributes) for term in terms)
        return lambda attributes: all(term(attributes) for term in terms)

    def _term(self) -> Filter:
        if self._next() in ("NOT", "-"):
            self.position += 1
            inner = self._term()
            return lambda attributes: not inner(attributes)
        if self._next() == "(":
            self.position += 1
            inner = self._filter()
            self._take(")")
            return inner
        return self._test()

    def _test(self) -> Filter:
        if (
            self._take(
                "attributes",
                "hasPrefix",
            )
            == "hasPrefix"
        ):
            self._take("(")
            self._take("attributes")
            self._take(".")
            key = self._key()
            self._take(",")
            prefix = self._string()
            self._take(")")
            return lambda attributes: attributes.get(key, "").startswith(prefix) and key in attributes
        if self._take(":", ".") == ":":
            key = self._key()
            return lambda attributes: key in attributes
        key, operator, value = self._key(), self._take("=", "!="), self._string()
        wanted = operator == "="
        return lambda attributes: (attributes.get(key) == value) is wanted

    def _key(self) -> str:
        token = self._next()
        if token.startswith('"'):
            return self._string()
        if not token or not re.fullmatch(r"[\w-]+", token):
            raise self._fail("an attribute's key")
        self.position += 1
        return token

    def _string(self) -> str:
        token = self._next()
        if not token.startswith('"'):
            raise self._fail("a string in double quotes")
        self.position += 1
        return _ESCAPE.sub(_unescape, token[1:-1])


def _unescape(match: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if match[group]:
            return chr(int(match[group], base))
    return _PLAIN.get(match[5], match[5])
