"""The syntax tree of expressions, and its text."""

from __future__ import annotations

import json
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
class Literal:
    """A number, string, boolean or null."""

    value: Any
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, a subworkflow, or a library module."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """`value.name`"""

    value: Expression
    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """`value[index]`"""

    value: Expression
    index: Expression
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`callee(arguments)`; the callee is a dotted name."""

    callee: str
    arguments: tuple[Expression, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`not x`, `-x`"""

    operator: str
    operand: Expression
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`"""

    operator: str
    left: Expression
    right: Expression
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """`[a, b]`"""

    items: tuple[Expression, ...]
    position: int = field(default=0, compare=False)


Expression = Literal | Name | Member | Index | Call | Unary | Binary | ListLiteral


def dotted(node: Expression) -> str | None:
    """`a.b.c` when the node is nothing but names and dots."""
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Member):
        prefix = dotted(node.value)
        return None if prefix is None else f"{prefix}.{node.name}"
    return None


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
