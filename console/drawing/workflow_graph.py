"""The workflow's main routine as an SVG of nested boxes, with the path that an execution took.

The language nests (sequences, switches, try and except, loops, parallel branches), so rows with growing indents show
it; only jumps (`next`) cross, as curves on the right. Each taken step is a link to its row of the timeline.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from markupsafe import Markup

from console.pipeline.executions import Step

_ROW, _GAP, _INDENT, _BOX, _LEFT, _TOP = 30, 8, 20, 290, 16, 12
_LONGEST = 34  # characters of a step's name
_KINDS = ("call", "assign", "switch", "try", "for", "parallel", "steps", "raise", "return")


@dataclass(slots=True)
class Node:
    """A step, or a part of one such as `except`; parts have a label and no name."""

    name: str
    kind: str
    label: str = ""
    children: list["Node"] = field(default_factory=list)
    jumps: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    node: Node
    depth: int
    y: int
    hidden: int = 0  # steps that this row stands for

    @property
    def x(self) -> int:
        return _LEFT + self.depth * _INDENT


def parse(source: str, routine: str = "main") -> list[Node]:
    """The steps of a routine of a workflow; empty if the source is not a workflow."""
    try:
        document = yaml.safe_load(source)
    except (yaml.YAMLError, RecursionError):
        return []
    body = document.get(routine) if isinstance(document, Mapping) else None
    steps = body.get("steps") if isinstance(body, Mapping) else body
    return list(_steps(steps))


def draw(nodes: list[Node], taken: Mapping[str, Step], *, everything: bool = False) -> Markup:
    """The SVG.

    Args:
        taken: the steps that the execution reached, by name, in their order.
        everything: also what was not taken; otherwise a row counts the steps between.
    """
    rows = list(_laid_out(nodes, taken, everything=everything))
    if not rows:
        return Markup("")
    order = {name: number for number, name in enumerate(taken, 1)}
    depth = max(row.depth for row in rows)
    width, height = _LEFT + depth * _INDENT + _BOX + 90, rows[-1].y + _ROW + _TOP
    parts = [Markup("").join(_box(row, taken, order) for row in rows), Markup("").join(_jumps(rows, taken))]
    label = f"The workflow's steps, of which this execution took {len(taken)}"
    svg = Markup(
        '<svg class="graph" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="group" aria-label="{2}">{3}</svg>'
    )
    return svg.format(width, height, label, Markup("").join(parts))


def _steps(steps: Any) -> Iterator[Node]:
    if not isinstance(steps, list):
        return
    for step in steps:
        if isinstance(step, Mapping):
            for name, body in step.items():
                yield _step(str(name), body if isinstance(body, Mapping) else {})


def _step(name: str, body: Mapping[str, Any]) -> Node:
    kind = next((kind for kind in _KINDS if kind in body), "step")
    node = Node(name, kind)
    if kind == "switch":
        for number, condition in enumerate(body["switch"], 1):
            if isinstance(condition, Mapping) and "steps" in condition:
                node.children.append(Node("", "part", f"case {number}", list(_steps(condition["steps"]))))
            if isinstance(condition, Mapping) and "next" in condition:
                node.jumps.append(str(condition["next"]))
    elif kind == "try":
        node.children += _block(body["try"], "try")
        if "except" in body:
            node.children += _block(body["except"], "except")
    elif kind in ("for", "parallel"):
        node.children += _block(body[kind], "")
        for branch in body[kind].get("branches", []) if isinstance(body[kind], Mapping) else []:
            node.children += [
                Node("", "part", str(label), list(_steps(part.get("steps")))) for label, part in branch.items()
            ]
    elif kind == "steps":
        node.children += _steps(body["steps"])
    if "next" in body:
        node.jumps.append(str(body["next"]))
    return node


def _block(body: Any, label: str) -> list[Node]:
    if not isinstance(body, Mapping):
        return []
    if "for" in body:
        return _block(body["for"], label)
    if "steps" in body:
        children = list(_steps(body["steps"]))
        return [Node("", "part", label, children)] if label else children
    return [Node("", "part", f"{label} {body['call']}")] if "call" in body else []


def _reaches(node: Node, taken: Mapping[str, Step]) -> bool:
    return node.name in taken or any(_reaches(child, taken) for child in node.children)


def _count(node: Node) -> int:
    return bool(node.name) + sum(_count(child) for child in node.children)


def _laid_out(nodes: list[Node], taken: Mapping[str, Step], *, everything: bool) -> Iterator[_Row]:
    y = _TOP

    def walk(nodes: Sequence[Node], depth: int) -> Iterator[_Row]:
        nonlocal y
        skipped = 0
        for node in nodes:
            if not everything and not _reaches(node, taken):
                skipped += _count(node)
                continue
            if skipped:
                yield _Row(Node("", "skipped"), depth, y, skipped)
                y, skipped = y + _ROW + _GAP, 0
            yield _Row(node, depth, y)
            y += _ROW + _GAP
            yield from walk(node.children, depth + 1)
        if skipped:
            yield _Row(Node("", "skipped"), depth, y, skipped)
            y += _ROW + _GAP

    yield from walk(nodes, 0)


def _box(row: _Row, taken: Mapping[str, Step], order: Mapping[str, int]) -> Markup:
    node = row.node
    middle = row.y + _ROW / 2 + 4
    if node.kind == "skipped":
        text = "1 step not taken" if row.hidden == 1 else f"{row.hidden} steps not taken"
        return Markup('<text class="skipped" x="{}" y="{}">{}</text>').format(row.x + 12, middle, text)
    if node.kind == "part":
        return Markup('<text class="part" x="{}" y="{}">{}</text>').format(row.x + 4, middle, node.label)
    step = taken.get(node.name)
    state = "untaken" if step is None else ("failed" if step.failed else "taken")
    shown = node.name if len(node.name) <= _LONGEST else f"{node.name[: _LONGEST - 1]}…"
    box = Markup(
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="7"/><text x="{}" y="{}">{}</text>'
        '<text class="kind" x="{}" y="{}" text-anchor="end">{}</text>'
    ).format(state, row.x, row.y, _BOX, _ROW, row.x + 12, middle, shown, row.x + _BOX - 10, middle, node.kind)
    if step is None:
        return box
    number = Markup('<text class="order" x="{}" y="{}">{}</text>').format(row.x + _BOX + 8, middle, order[node.name])
    title = f"{node.name}, {node.kind}, {step.state} after {step.seconds:.3f} s"
    return Markup('<a href="#step-{}"><title>{}</title>{}{}</a>').format(step.number, title, box, number)


def _jumps(rows: list[_Row], taken: Mapping[str, Step]) -> Iterator[Markup]:
    """Curves from steps to those that they name as next, on the taken path."""
    places = {row.node.name: row for row in rows if row.node.name}
    for row in rows:
        for name in row.node.jumps:
            target = places.get(name)
            if target is None or row.node.name not in taken or name not in taken:
                continue
            if taken[name].started < taken[row.node.name].started:
                continue
            right, start, end = row.x + _BOX + 30, row.y + _ROW / 2, target.y + _ROW / 2
            bend = min(60, 16 + abs(end - start) / 6)
            yield Markup('<path class="jump" d="M{} {} C{} {} {} {} {} {}"/>').format(
                right, start, right + bend, start, target.x + _BOX + 30 + bend, end, target.x + _BOX + 30, end
            )


def first_steps(steps: Sequence[Step], routine: str = "main") -> dict[str, Step]:
    """The steps of a routine that an execution reached, by name; of several attempts the last one."""
    reached: dict[str, Step] = {}
    for step in steps:
        if step.routine == routine and step.name:
            reached[step.name] = step
    return reached
