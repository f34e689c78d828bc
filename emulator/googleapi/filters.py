"""List filters as AIP-160 has them: ``state="FAILED" AND startTime>"2026-01-01" AND labels.job=abc``.

A filter compiles to a predicate over records, plain maps from field name to value. ``OR`` binds tighter than
``AND``, as the AIP says; two terms side by side mean ``AND``; ``NOT`` or ``-`` negates one term. A string
compared by ``=`` may hold ``*``; ``:`` asks whether a string contains the value, or whether a map has the key.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from emulator.googleapi import timestamps
from emulator.googleapi.errors import InvalidArgumentError

Record = Mapping[str, Any]
Predicate = Callable[[Record], bool]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<op><=|>=|!=|=|<|>|:)
    | (?P<paren>[()])
    | (?P<minus>-(?=[A-Za-z(]))
    | (?P<dot>\.)
    | (?P<word>[^\s"'()<>=!:.]+(?:(?<=\d)\.\d[^\s"'()<>=!:.]*)?)
    )""",
    re.VERBOSE,
)
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a filter may name: ``kind`` is string, enum, time, duration, number, bool, map or list."""

    name: str
    kind: str
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def folded(name: str) -> str:
    """One form for ``executionId``, ``executionID`` and ``execution_id``."""
    return name.replace("_", "").lower()


def compile_filter(text: str, fields: Iterable[Field]) -> Predicate:
    """The predicate of a filter; an empty filter lets everything through.

    Raises:
        InvalidArgumentError: it does not parse, names an unknown field or compares with a wrong value.
    """
    if not text.strip():
        return lambda _: True
    return _Parser(text, {folded(field.name): field for field in fields}).parse()


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        self._text, self._fields = text, fields
        self._tokens, self._next = self._split(), 0

    def parse(self) -> Predicate:
        predicate = self._all()
        if self._peek().kind:
            self._refuse(f"unexpected {self._peek().text!r}")
        return predicate

    def _split(self) -> list[_Token]:
        tokens, position, end = [], 0, len(self._text.rstrip())
        while position < end:
            match = _TOKEN.match(self._text, position)
            if not match:
                self._refuse(f"cannot read {self._text[position:].strip()[:20]!r}")
            tokens.append(_Token(str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()
        return tokens

    def _refuse(self, reason: str) -> NoReturn:
        raise InvalidArgumentError(f"invalid filter {self._text!r}: {reason}", field="filter")

    def _peek(self) -> _Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else _Token("", "")

    def _accept(self, text: str) -> bool:
        token = self._peek()
        found = token.kind != "string" and token.text == text
        self._next += found
        return found

    def _take(self) -> _Token:
        token = self._peek()
        if not token.kind:
            self._refuse("it ends too early")
        self._next += 1
        return token

    def _all(self) -> Predicate:
        parts = [self._any()]
        while self._accept("AND") or (self._peek().kind and self._peek().text not in (")", "OR")):
            parts.append(self._any())
        return lambda record: all(part(record) for part in parts)

    def _any(self) -> Predicate:
        parts = [self._term()]
        while self._accept("OR"):
            parts.append(self._term())
        return lambda record: any(part(record) for part in parts)

    def _term(self) -> Predicate:
        if self._accept("NOT") or self._accept("-"):
            negated = self._term()
            return lambda record: not negated(record)
        if self._accept("("):
            inner = self._all()
            if not self._accept(")"):
                self._refuse("a parenthesis is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        name = self._take()
        if name.kind != "word":
            self._refuse(f"expected a field, found {name.text!r}")
        field = self._fields.get(folded(name.text))
        if field is None:
            self._refuse(f"unknown field {name.text!r}")
        key = _unquoted(self._take()) if self._accept(".") else None
        comparator = self._take()
        if comparator.kind != "op":
            self._refuse(f"expected a comparison after {name.text!r}, found {comparator.text!r}")
        return self._compare(field, key, comparator.text, self._value())

    def _value(self) -> str:
        text = "-" if self._accept("-") else ""
        text += _unquoted(self._take())
        while self._accept("."):
            text += "." + _unquoted(self._take())
        return text

    def _compare(self, field: Field, key: str | None, comparator: str, value: str) -> Predicate:
        if (key is not None) != (field.kind == "map") and not (field.kind == "map" and comparator == ":"):
            self._refuse(f"{field.name} " + ("needs a key, as in labels.name" if key is None else "has no keys"))
        if field.kind == "map":
            return _map_test(field.name, key, comparator, value)
        if field.kind in ("string", "list"):
            return _text_test(field, comparator, value)
        wanted = self._typed(field, value)
        compare: Callable[[Any, Any], bool] = _ORDERINGS.get(comparator, operator.eq)

        def test(record: Record) -> bool:
            held = record.get(field.name)
            return comparator == "!=" if held is None else compare(held, wanted)

        return test

    def _typed(self, field: Field, value: str) -> Any:
        if field.kind == "enum" and value not in field.values:
            self._refuse(f"{field.name}: {value!r} is none of {', '.join(sorted(field.values))}")
        try:
            return _READERS[field.kind](value)
        except ValueError as error:
            self._refuse(f"{field.name}: {error}")


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    "enum": lambda text: text.removeprefix("STATE_"),  # step entries' states are filtered by either form
    "time": timestamps.parse_time,
    "duration": timestamps.parse_duration,
    "number": int,
    "bool": _boolean,
}


def _unquoted(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "string" else token.text


def _text_test(field: Field, comparator: str, value: str) -> Predicate:
    def matches(held: str) -> bool:
        if comparator == ":":
            return value in ("*", "") or value in held
        if comparator in ("=", "!="):
            equal = fnmatchcase(held, value.replace("[", "[[]")) if "*" in value else held == value
            return equal == (comparator == "=")
        return _ORDERINGS[comparator](held, value)

    def test(record: Record) -> bool:
        held = record.get(field.name)
        if field.kind == "list":
            check = all if comparator == "!=" else any
            return check(matches(item) for item in held or ())
        return matches(held or "")

    return test


def _map_test(name: str, key: str | None, comparator: str, value: str) -> Predicate:
    def test(record: Record) -> bool:
        held = record.get(name) or {}
        if key is None:  # labels:name, or labels:* for any
            return bool(held) if value == "*" else value in held
        if key not in held:
            return comparator == "!="
        return _text_test(Field(key, "string"), comparator, value)({key: held[key]})

    return test
