"""The filter language of lists, AIP-160: `state="FAILED" AND startTime>"2026-01-01" AND labels.job=abc`.

A filter compiles to a predicate over records, which map field names to values. `OR` binds tighter than `AND`,
as the AIP says; adjacent terms mean `AND`; `NOT` or `-` negates a term. With `=` a string may contain `*`;
`:` tests whether a string contains the value, or a map the key.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from emulator.googleapi import timestamps
from emulator.googleapi.filter_tokens import Token, Tokens

Record = Mapping[str, Any]
Predicate = Callable[[Record], bool]

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
    """A field that filters know: `kind` is string, enum, time, duration, number, bool, map or list."""

    name: str
    kind: str
    values: frozenset[str] = frozenset()


def folded(name: str) -> str:
    """One form for `executionId`, `executionID` and `execution_id`."""
    return name.replace("_", "").lower()


def compile_filter(text: str, fields: Iterable[Field]) -> Predicate:
    """The predicate of a filter; an empty filter keeps every record.

    Raises:
        InvalidArgumentError: the filter does not parse, names an unknown field or has a value of the wrong type.
    """
    if not text.strip():
        return lambda _: True
    return _Parser(text, {folded(field.name): field for field in fields}).parse()


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Field]) -> None:
        self._tokens, self._fields = Tokens(text), fields

    def parse(self) -> Predicate:
        predicate = self._all()
        if self._tokens.peek().kind:
            raise self._tokens.error(f"unexpected {self._tokens.peek().text!r}")
        return predicate

    def _all(self) -> Predicate:
        parts = [self._any()]
        while self._tokens.accept("AND") or (self._tokens.peek().text not in ("", ")", "OR")):
            parts.append(self._any())
        return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)

    def _any(self) -> Predicate:
        parts = [self._term()]
        while self._tokens.accept("OR"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)

    def _term(self) -> Predicate:
        if self._tokens.accept("NOT", "-"):
            with self._tokens.nested():
                negated = self._term()
            return lambda record: not negated(record)
        if self._tokens.accept("("):
            with self._tokens.nested():
                inner = self._all()
            self._tokens.expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        name = self._tokens.take()
        if name.kind != "word":
            raise self._tokens.error(f"expected a field, not {name.text!r}", name)
        field = self._fields.get(folded(name.text))
        if field is None:
            raise self._tokens.error(f"unknown field {name.text!r}", name)
        key = _unquoted(self._tokens.take()) if self._tokens.accept(".") else None
        comparator = self._tokens.take()
        if comparator.kind != "operator":
            raise self._tokens.error(f"expected a comparison, not {comparator.text!r}", comparator)
        return self._compare(field, key, comparator.text, self._value())

    def _value(self) -> str:
        text = self._tokens.accept("-") + _unquoted(self._tokens.take())
        while mark := self._tokens.accept(".", ","):
            text += mark + _unquoted(self._tokens.take())
        return text

    def _compare(self, field: Field, key: str | None, comparator: str, value: str) -> Predicate:
        if (key is not None) != (field.kind == "map") and not (field.kind == "map" and comparator == ":"):
            problem = "needs a key, as in labels.name" if key is None else "has no keys"
            raise self._tokens.error(f"{field.name} {problem}")
        if field.kind == "map":
            return _map_test(field.name, key, comparator, value)
        if field.kind in ("string", "list"):
            return _text_test(field, comparator, value)
        operand = self._typed(field, value)
        compare: Callable[[Any, Any], bool] = _ORDERINGS.get(comparator, operator.eq)

        def test(record: Record) -> bool:
            value = record.get(field.name)
            return comparator == "!=" if value is None else compare(value, operand)

        return test

    def _typed(self, field: Field, value: str) -> Any:
        if field.kind == "enum" and value not in field.values:
            raise self._tokens.error(f"{field.name}: {value!r} is not one of {', '.join(sorted(field.values))}")
        try:
            return _READERS[field.kind](value)
        except ValueError as error:
            raise self._tokens.error(f"{field.name}: {error}") from None


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


_READERS: dict[str, Callable[[str], Any]] = {
    "enum": lambda text: text.removeprefix("STATE_"),  # a filter of step entries may have either form
    "time": timestamps.parse_time,
    "duration": timestamps.parse_duration,
    "number": int,
    "bool": _boolean,
}


def _unquoted(token: Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "string" else token.text


def _text_test(field: Field, comparator: str, operand: str) -> Predicate:
    def matches(text: str) -> bool:
        if comparator == ":":
            return operand in ("*", "") or operand in text
        if comparator in ("=", "!="):
            equal = fnmatchcase(text, operand.replace("[", "[[]")) if "*" in operand else text == operand
            return equal == (comparator == "=")
        return _ORDERINGS[comparator](text, operand)

    def test(record: Record) -> bool:
        value = record.get(field.name)
        if field.kind == "list":
            check = all if comparator == "!=" else any
            return check(matches(item) for item in value or ())
        return matches(value or "")

    return test


def _map_test(name: str, key: str | None, comparator: str, operand: str) -> Predicate:
    def test(record: Record) -> bool:
        entries = record.get(name) or {}
        if key is None:  # labels:name, or labels:* for any
            return bool(entries) if operand == "*" else operand in entries
        if key not in entries:
            return comparator == "!="
        return _text_test(Field(key, "string"), comparator, operand)({key: entries[key]})

    return test
