"""The syntax tree of expressions, its traversal, and its text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PRECEDENCE = {
    "or": 1, "and": 2,
    "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3, "not in": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "//": 5, "%": 5,
}  # fmt: skip
UNARY = 6
POSTFIX = 7


@dataclass(frozen=True, slots=True)
class Node:
    """`position` is the offset in the expression's text."""

    position: int = field(default=0, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, string, boolean or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable, a subworkflow, or a library module."""

    name: str


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`value.name`"""

    value: "Expression"
    name: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`value[index]`"""

    value: "Expression"
    index: "Expression"


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`callee(arguments)`; the callee is a dotted name."""

    callee: str
    arguments: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`not x`, `-x`"""

    operator: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left operator right`"""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    """`[a, b]`"""

    items: "tuple[Expression, ...]"


Target = Name | Member | Index
Expression = Literal | Name | Member | Index | Call | Unary | Binary | ListLiteral


def root_name(target: Target) -> str:
    """The variable that an assignment's target begins with."""
    node: Any = target
    while not isinstance(node, Name):
        node = node.value
    return node.name


def dotted(node: Expression) -> str | None:
    """`a.b.c` when the node consists of names and dots only."""
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Member):
        prefix = dotted(node.value)
        return None if prefix is None else f"{prefix}.{node.name}"
    return None


def children(node: Expression) -> tuple[Expression, ...]:
    match node:
        case Member(value):
            return (value,)
        case Index(value, index):
            return (value, index)
        case Call(_, arguments):
            return arguments
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case ListLiteral(items):
            return items
        case _:
            return ()


def walk(node: Expression) -> Iterator[Expression]:
    """The node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def text(node: Expression, outer: int = 0) -> str:
    """The expression's source, with no more parentheses than needed."""
    written, strength = _written(node)
    return f"({written})" if strength < outer else written


def _written(node: Expression) -> tuple[str, int]:
    match node:
        case Literal(value):
            return _literal(value), POSTFIX + 1
        case Name(name):
            return name, POSTFIX + 1
        case ListLiteral(items):
            return f"[{_list(items)}]", POSTFIX + 1
        case Call(callee, arguments):
            return f"{callee}({_list(arguments)})", POSTFIX
        case Member(value, name):
            return f"{text(value, POSTFIX)}.{name}", POSTFIX
        case Index(value, index):
            return f"{text(value, POSTFIX)}[{text(index)}]", POSTFIX
        case Unary(operator, operand):
            space = " " if operator == "not" else ""
            return f"{operator}{space}{text(operand, UNARY)}", UNARY
        case Binary(operator, left, right):
            strength = PRECEDENCE[operator]
            return f"{text(left, strength)} {operator} {text(right, strength + 1)}", strength


def _list(items: tuple[Expression, ...]) -> str:
    return ", ".join(text(item) for item in items)


def _literal(value: Any) -> str:
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
