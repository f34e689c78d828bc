"""Traversal of a workflow's syntax tree: the steps inside a step, and the values and expressions of it."""

from collections.abc import Iterable, Iterator

from emulator.workflows.syntax.steps import (
    Assign,
    CallStep,
    Computed,
    For,
    Group,
    ListValue,
    Loop,
    MapValue,
    Parallel,
    Raise,
    Return,
    Step,
    Switch,
    Try,
    Value,
)


def walk(steps: list[Step]) -> Iterator[Step]:
    """Every step, at any depth."""
    for step in steps:
        yield step
        for inner in nested(step):
            yield from walk(inner)


def nested(step: Step) -> list[list[Step]]:
    """The lists of steps directly inside a step."""
    lists = same_scope(step)
    if isinstance(step, Parallel):
        lists.extend(branch.steps for branch in step.branches)
    if isinstance(step, Try) and step.handler is not None:
        lists.append(step.handler.steps)
    loop = loop_of(step)
    return lists if loop is None else [*lists, loop.steps]


def same_scope(step: Step) -> list[list[Step]]:
    """The lists of steps directly inside a step that have no scope of their own."""
    if isinstance(step, Switch):
        return [case.steps for case in step.cases]
    return [step.steps] if isinstance(step, Try | Group) else []


def loop_of(step: Step) -> Loop | None:
    return step.loop if isinstance(step, For | Parallel) else None


def values(step: Step) -> Iterator[Value]:
    """The values of a step, without those of the steps inside it."""
    parts: Iterable[Value | None] = ()
    match step:
        case Assign(assignments=assignments):
            parts = (value for _, value, _ in assignments)
        case CallStep():
            parts = (*step.arguments.values(), *(step.positional or ()), step.argument_map)
        case Switch(cases=cases):
            parts = (case.condition for case in cases)
        case For(loop=loop):
            parts = loop.values()
        case Parallel(loop=loop):
            parts = (step.concurrency_limit, *(loop.values() if loop else ()))
        case Try(retry=retry):
            parts = retry.values() if retry else ()
        case Return(value=value) | Raise(value=value):
            parts = (value,)
    yield from (part for part in parts if part is not None)


def expressions(value: Value) -> Iterator[Computed]:
    """The expressions in a value, at any depth."""
    match value:
        case Computed():
            yield value
        case ListValue(items):
            for item in items:
                yield from expressions(item)
        case MapValue(entries):
            for key, item in entries:
                yield from expressions(key)
                yield from expressions(item)
