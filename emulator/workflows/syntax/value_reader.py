"""Reads the values in steps: constants, expressions, and maps and lists of both."""

import re
from collections.abc import Iterable

from emulator.workflows.errors import Problem
from emulator.workflows.syntax.lexer import ExpressionError
from emulator.workflows.syntax.parser import parse
from emulator.workflows.syntax.quoting import single_quoted, unquoted_colon
from emulator.workflows.syntax.source import Mapping, Node, Scalar, Sequence
from emulator.workflows.syntax.steps import Computed, Constant, ListValue, MapValue, Place, Value

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset(
    {"and", "or", "not", "in", "AND", "OR", "NOT"}
    | {"true", "True", "TRUE", "false", "False", "FALSE", "null", "Null", "NULL"}
)


def place(node: Node) -> Place:
    """The place of a node."""
    return Place(node.line, node.column, len(node.text) if isinstance(node, Scalar) else 0)


class ValueReader:
    """Reads values, and collects problems under the name of the step that is being read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.step_name: str | None = None

    def problem(self, message: str, node: Node | Place) -> None:
        """Add a problem; the prefix is worded as by the service."""
        where = f"error in step {self.step_name}: " if self.step_name else ""
        self.problems.append(Problem(f"{where}{message}", node.line, node.column, self.file))

    def value(self, node: Node) -> Value:
        """Any value of a step."""
        match node:
            case Scalar():
                return self._scalar(node, node.value)
            case Sequence():
                return self._list(node)
            case Mapping():
                return self._map(node)

    def optional(self, node: Node | None) -> Value | None:
        return None if node is None else self.value(node)

    def _list(self, node: Sequence) -> Value:
        items = [self.value(item) for item in node.items]
        constants = [item.value for item in items if isinstance(item, Constant)]
        if len(constants) == len(items):
            return Constant(constants, place(node))
        return ListValue(items, place(node))

    def _map(self, node: Mapping) -> Value:
        entries = [
            (self._scalar(key, key.text), self.value(item)) for key, item in node.entries if self.is_key(key, item)
        ]
        constants = {
            key.value: item.value for key, item in entries if isinstance(key, Constant) and isinstance(item, Constant)
        }
        if len(constants) == len(entries):
            return Constant(constants, place(node))
        return MapValue(entries, place(node))

    def _scalar(self, node: Scalar, constant: object) -> Value:
        return Constant(constant, place(node)) if node.expression is None else self._expression(node, node.expression)

    def _expression(self, node: Scalar, text: str) -> Value:
        try:
            return Computed(parse(text), place(node))
        except ExpressionError as error:
            self.problem(_caret(text, error), self._inside(node, error))
            return Constant(None, place(node))

    def _inside(self, node: Scalar, error: ExpressionError) -> Place:
        """The place of the error inside the scalar, or the scalar's own when it has several lines."""
        start = node.value.index("${") + 2 + (0 if node.plain else 1)
        column = node.column if "\n" in node.value else node.column + start + error.position
        return Place(node.line, column)

    def variable(self, node: Node) -> str:
        name = node.text if isinstance(node, Scalar) else "…"
        if not is_name(name):
            self.problem(f"'{name}' cannot be a variable's name", node)
        return name

    def is_key(self, key: Scalar, value: Node) -> bool:
        """Whether the entry is one, and not an expression that YAML split at an unquoted ': ' (a problem)."""
        split = key.plain and key.text.startswith("${") and not key.text.endswith("}")
        if split:
            rest = value.text if isinstance(value, Scalar) else "…"
            self.problem(unquoted_colon(key.line, single_quoted(f"{key.text}: {rest}")), key)
        return not split

    def check_keys(self, node: Mapping, allowed: set[str], what: str) -> None:
        for key, value in node.entries:
            if key.text not in allowed and self.is_key(key, value):
                self.problem(f"unknown key '{key.text}' in {what}", key)

    def check_unique(self, entries: Iterable[tuple[str, Place]], what: str) -> None:
        names: set[str] = set()
        for name, at in entries:
            if name in names:
                self.problem(f"duplicate {what} '{name}'", at)
            names.add(name)


def is_name(text: str) -> bool:
    return _NAME.match(text) is not None and text not in _RESERVED


def _caret(text: str, error: ExpressionError) -> str:
    """The message and, unless it is too long to show, the expression with a caret below."""
    if len(text) > 120 or "\n" in text:
        return f"invalid expression: {error.message}"
    return f"invalid expression: {error.message}\n    {text}\n    {' ' * error.position}^"
