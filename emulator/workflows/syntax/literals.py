"""Values in a source: constants, expressions, and maps and lists of both."""

from __future__ import annotations

import re

from emulator.workflows.errors import Problem
from emulator.workflows.syntax.lexer import ExpressionError
from emulator.workflows.syntax.parser import parse
from emulator.workflows.syntax.program import Computed, Constant, ListValue, MapValue, Place, Value
from emulator.workflows.syntax.source import Mapping, Node, Scalar, Sequence, split_expression

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
RESERVED = frozenset(
    {"and", "or", "not", "in", "AND", "OR", "NOT"}
    | {"true", "True", "TRUE", "false", "False", "FALSE", "null", "Null", "NULL"}
)


def place(node: Node) -> Place:
    """Where a node stands."""
    return Place(node.line, node.column, len(node.text) if isinstance(node, Scalar) else 0)


class ValueReader:
    """Reads values and notes problems; knows the step that it is in."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.step_name: str | None = None

    def problem(self, message: str, node: Node | Place) -> None:
        """Note a problem, in the service's words for where it is."""
        where = f"error in step {self.step_name}: " if self.step_name else ""
        self.problems.append(Problem(f"{where}{message}", node.line, node.column, self.file))

    def value(self, node: Node) -> Value:
        """A value anywhere in a step."""
        if isinstance(node, Scalar):
            return self._scalar(node)
        if isinstance(node, Sequence):
            items = [self.value(item) for item in node.items]
            constants = [item.value for item in items if isinstance(item, Constant)]
            if len(constants) == len(items):
                return Constant(constants, place(node))
            return ListValue(items, place(node))
        entries: list[tuple[Value, Value]] = []
        for key, item in node.entries:
            message = split_expression(key, item)
            if message is not None:
                self.problem(message, key)
                continue
            entries.append((self._key(key), self.value(item)))
        content = {
            key.value: item.value for key, item in entries if isinstance(key, Constant) and isinstance(item, Constant)
        }
        if len(content) == len(entries):
            return Constant(content, place(node))
        return MapValue(entries, place(node))

    def _key(self, key: Scalar) -> Value:
        if key.expression is not None:
            return self._expression(key, key.expression)
        return Constant(key.text, place(key))

    def _scalar(self, node: Scalar) -> Value:
        expression = node.expression
        if expression is None:
            return Constant(node.value, place(node))
        return self._expression(node, expression)

    def _expression(self, node: Scalar, text: str) -> Value:
        try:
            return Computed(parse(text), place(node))
        except ExpressionError as error:
            self.problem(_caret(text, error), self._inside(node, error))
            return Constant(None, place(node))

    def _inside(self, node: Scalar, error: ExpressionError) -> Place:
        """The place inside a scalar that stands on one line."""
        start = node.value.index("${") + 2 + (0 if node.plain else 1)
        column = node.column if "\n" in node.value else node.column + start + error.position
        return Place(node.line, column)

    def variable(self, node: Node) -> str:
        if isinstance(node, Scalar) and NAME.match(node.text) and node.text not in RESERVED:
            return node.text
        self.problem(f"'{node.text if isinstance(node, Scalar) else '…'}' cannot be a variable's name", node)
        return node.text if isinstance(node, Scalar) else "_"

    def only(self, node: Mapping, allowed: set[str], what: str) -> None:
        for key, value in node.entries:
            if key.text in allowed:
                continue
            message = split_expression(key, value)
            self.problem(message or f"unknown key '{key.text}' in {what}", key)


def _caret(text: str, error: ExpressionError) -> str:
    """The message, and the expression with a caret when it is short enough to show."""
    if len(text) > 120 or "\n" in text:
        return f"invalid expression: {error.message}"
    return f"invalid expression: {error.message}\n    {text}\n    {' ' * error.position}^"
