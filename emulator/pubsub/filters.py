"""The filter language of subscriptions, which selects messages by their attributes.

filter  := term { "AND" term } | term { "OR" term }      (mixing them takes parentheses)
term    := ["NOT" | "-"] ( "(" filter ")" | test )
test    := "attributes" ":" key | "attributes" "." key ("=" | "!=") string
         | "hasPrefix" "(" "attributes" "." key "," string ")"
"""

import re
from collections.abc import Callable, Mapping

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.filter_tokens import Tokens

Filter = Callable[[Mapping[str, str]], bool]

_MAX_BYTES = 256
_KEY = re.compile(r"[A-Za-z0-9_](?:[\w-]*\w)?")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|[xX]([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def compile_filter(text: str) -> Filter:
    """The predicate of a filter; an empty filter keeps every message.

    Raises:
        InvalidArgumentError: the filter does not parse or is longer than 256 bytes.
    """
    if not text.strip():
        return lambda _: True
    if len(text.encode()) > _MAX_BYTES:
        raise InvalidArgumentError(f"Invalid filter: it is longer than {_MAX_BYTES} bytes.", field="filter")
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = Tokens(text)

    def parse(self) -> Filter:
        result = self._filter()
        if self._tokens.peek().kind:
            raise self._tokens.error("expected AND, OR or the end (mixing AND and OR needs parentheses)")
        return result

    def _filter(self) -> Filter:
        terms, joiner = [self._term()], self._tokens.peek().text
        while joiner in ("AND", "OR") and self._tokens.accept(joiner):
            terms.append(self._term())
        if joiner == "OR":
            return lambda attributes: any(term(attributes) for term in terms)
        return lambda attributes: all(term(attributes) for term in terms)

    def _term(self) -> Filter:
        if self._tokens.accept("NOT", "-"):
            with self._tokens.nested():
                negated = self._term()
            return lambda attributes: not negated(attributes)
        if self._tokens.accept("("):
            with self._tokens.nested():
                inner = self._filter()
            self._tokens.expect(")")
            return inner
        return self._test()

    def _test(self) -> Filter:
        if self._tokens.expect("attributes", "hasPrefix") == "hasPrefix":
            return self._prefix_test()
        if self._tokens.expect(":", ".") == ":":
            key = self._key()
            return lambda attributes: key in attributes
        key, operator, value = self._key(), self._tokens.expect("=", "!="), self._string()
        return lambda attributes: (attributes.get(key) == value) is (operator == "=")

    def _prefix_test(self) -> Filter:
        for text in ("(", "attributes", "."):
            self._tokens.expect(text)
        key = self._key()
        self._tokens.expect(",")
        prefix = self._string()
        self._tokens.expect(")")
        return lambda attributes: key in attributes and attributes[key].startswith(prefix)

    def _key(self) -> str:
        if self._tokens.peek().kind == "string":
            return self._string()
        if not _KEY.fullmatch(self._tokens.peek().text):
            raise self._tokens.error("expected an attribute's key")
        return self._tokens.take().text

    def _string(self) -> str:
        if not self._tokens.peek().text.startswith('"'):
            raise self._tokens.error("expected a string in double quotes")
        token = self._tokens.take()
        try:
            return _ESCAPE.sub(_unescaped, token.text[1:-1])
        except (ValueError, OverflowError):
            raise self._tokens.error("not a Unicode character", token) from None


def _unescaped(match: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if match[group]:
            return chr(int(match[group], base))
    return _PLAIN.get(match[5], match[5])
