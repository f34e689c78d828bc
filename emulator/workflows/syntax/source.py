"""Reads YAML or JSON into a tree in which every value has its line and column."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from emulator.workflows import limits
from emulator.workflows.errors import Problem, WorkflowSyntaxError
from emulator.workflows.syntax.core_schema import resolve
from emulator.workflows.syntax.flow_collections import quote_expressions
from emulator.workflows.syntax.quoting import quoting_fix, unquoted_colon

MAX_NODES = 100_000
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, number, boolean or null. `text` is as written; `plain` scalars are those without quotes."""

    value: Any
    text: str
    plain: bool
    line: int
    column: int

    @property
    def expression(self) -> str | None:
        """The text inside `${…}` when that is the whole string, else None."""
        if not isinstance(self.value, str):
            return None
        text = self.value.strip()
        return text[2:-1] if text.startswith("${") and text.endswith("}") else None


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: "list[Node]"
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map in the order of the source; all keys are strings, even those that look like numbers."""

    entries: "list[tuple[Scalar, Node]]"
    line: int
    column: int

    def get(self, key: str) -> "Node | None":
        """The value of a key, or None."""
        return next((value for name, value in self.entries if name.text == key), None)

    def key(self, key: str) -> Scalar | None:
        """The key itself, for its place."""
        return next((name for name, _ in self.entries if name.text == key), None)


Node = Scalar | Sequence | Mapping


@dataclass(slots=True)
class _Open:
    """A collection that is still being read."""

    node: Sequence | Mapping
    anchor: str | None
    count: int
    key: Scalar | None = None
    keys: set[str] = field(default_factory=set)


def parse(text: str, name: str = "workflow.yaml") -> tuple[Node, list[Problem]]:
    """Read one document.

    Returns:
        The root, and the problems (duplicate keys) that don't prevent further checks.

    Raises:
        WorkflowSyntaxError: the text is neither YAML nor JSON.
    """
    if len(text.encode()) > limits.SOURCE_BYTES:
        raise WorkflowSyntaxError(f"source is larger than {limits.SOURCE_BYTES // 1024} KB", name)
    try:
        reader = _read(_prepare(text), name)
    except yaml.MarkedYAMLError as error:
        quoted = quote_expressions(text)
        try:
            reader = _read(quoted, name)
        except (yaml.YAMLError, ValueError, WorkflowSyntaxError):
            raise _unreadable(error, text, name) from None
    except (yaml.YAMLError, ValueError) as error:
        raise WorkflowSyntaxError(f"invalid YAML: {error}", name) from None
    if reader.root is None:
        raise WorkflowSyntaxError("the source is empty", name)
    return reader.root, reader.problems


def _read(text: str, name: str) -> "_Reader":
    reader = _Reader(name)
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        reader.take(event)
    return reader


def _prepare(text: str) -> str:
    """JSON that is not YAML (tabs, surrogate pairs) as equivalent YAML; other text unchanged."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        json.loads(text)
    except ValueError:
        return text
    joined = _SURROGATES.sub(lambda pair: json.loads(f'"{pair.group()}"'), text)
    return joined.replace("\t", " ")


class _Reader:
    """Builds the tree from parser events, without recursion, so that deep nesting cannot overflow the stack."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            scalar = _scalar(event)
            self._add(scalar, 1)
            self._remember(event.anchor, scalar, 1)
        elif kind is yaml.MappingStartEvent:
            self._open(Mapping([], *_place(event)), event)
        elif kind is yaml.SequenceStartEvent:
            self._open(Sequence([], *_place(event)), event)
        elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            closed = self._stack.pop()
            self._add(closed.node, 1)
            self._remember(closed.anchor, closed.node, self._count - closed.count)
        elif kind is yaml.AliasEvent:
            if event.anchor not in self._anchors:
                raise self._refuse(f"unknown alias '*{event.anchor}'", event)
            self._add(*self._anchors[event.anchor])
        elif kind is yaml.DocumentStartEvent and self.root is not None:
            raise self._refuse("a source holds one document", event)

    def _open(self, node: Sequence | Mapping, event: Any) -> None:
        if len(self._stack) >= limits.NESTING_DEPTH:
            raise self._refuse(f"nested deeper than {limits.NESTING_DEPTH} levels", event)
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.node, Mapping) and top.key is None:
            raise self._refuse("a map's key must be a string", event)
        self._stack.append(_Open(node, event.anchor, self._count))

    def _remember(self, anchor: str | None, node: Node, weight: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, weight)

    def _add(self, node: Node, weight: int) -> None:
        self._count += weight
        if self._count > MAX_NODES:
            raise WorkflowSyntaxError("the source expands to too many values", self.name, node.line)
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if isinstance(top.node, Sequence):
            top.node.items.append(node)
        elif top.key is None:
            self._key(top, node)
        else:
            self._value(top, top.node, top.key, node)
            top.key = None

    def _key(self, top: _Open, node: Node) -> None:
        if not isinstance(node, Scalar):
            raise WorkflowSyntaxError("a map's key must be a string", self.name, node.line, node.column)
        if node.text in top.keys:
            self.problems.append(Problem(f"duplicate key '{node.text}'", node.line, node.column, self.name))
        top.keys.add(node.text)
        top.key = node

    def _value(self, top: _Open, mapping: Mapping, key: Scalar, node: Node) -> None:
        if key.plain and key.text == "<<" and isinstance(node, Mapping):
            mapping.entries.extend(entry for entry in node.entries if entry[0].text not in top.keys)
        else:
            mapping.entries.append((key, node))

    def _refuse(self, message: str, event: Any) -> WorkflowSyntaxError:
        return WorkflowSyntaxError(message, self.name, *_place(event))


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _scalar(event: Any) -> Scalar:
    plain = event.style is None or event.style == ""
    tagged = event.tag not in (None, "!")
    if tagged and event.tag == "tag:yaml.org,2002:str":
        plain = False
    value = resolve(event.value) if plain and not event.value.startswith("${") else event.value
    return Scalar(value, event.value, plain, *_place(event))


def _unreadable(error: yaml.MarkedYAMLError, text: str, name: str) -> WorkflowSyntaxError:
    """The error at its place, with the fix when an expression has an unquoted ': '."""
    lines = text.splitlines()
    places = [(mark.line + 1, mark.column + 1) for mark in (error.problem_mark, error.context_mark) if mark]
    for line, column in places:
        fix = quoting_fix(lines[line - 1]) if line <= len(lines) else None
        if fix is not None:
            return WorkflowSyntaxError(unquoted_colon(line, fix), name, line, column)
    line, column = places[0] if places else (1, 1)
    return WorkflowSyntaxError(f"invalid YAML: {error.problem or 'unreadable'}", name, line, column)
