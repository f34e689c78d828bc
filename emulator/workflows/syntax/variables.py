"""Which variables a routine's steps declare."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.workflows.syntax.program import Assign, CallStep, For, Group, Parallel, Routine, Step, Switch, Try
from emulator.workflows.syntax.reader import variable_of


def declared(routine: Routine) -> frozenset[str]:
    """Every variable of a routine, in whatever scope."""
    names = {parameter.name for parameter in routine.parameters}
    for step in walk(routine.steps):
        names |= written(step)
        if isinstance(step, For | Parallel) and step.loop is not None:
            names |= {step.loop.value, step.loop.index or step.loop.value}
        if isinstance(step, Try) and step.handler is not None and step.handler.variable:
            names.add(step.handler.variable)
    return frozenset(names)


def written(step: Step) -> set[str]:
    """The variables that a step itself writes."""
    if isinstance(step, Assign):
        return {variable_of(target).name for target, _, _ in step.assignments}
    if isinstance(step, CallStep) and step.result is not None:
        return {step.result}
    return set()


def same_scope(step: Step) -> list[list[Step]]:
    """The lists of steps inside a step that open no scope of their own."""
    if isinstance(step, Switch):
        return [case.steps for case in step.cases]
    if isinstance(step, Try | Group):
        return [step.steps]
    return []


def inside(step: Step) -> list[list[Step]]:
    """Every list of steps directly inside a step."""
    lists = same_scope(step)
    if isinstance(step, For):
        lists.append(step.loop.steps)
    if isinstance(step, Parallel):
        lists.extend(branch.steps for branch in step.branches)
        if step.loop is not None:
            lists.append(step.loop.steps)
    if isinstance(step, Try) and step.handler is not None:
        lists.append(step.handler.steps)
    return lists


def walk(steps: list[Step]) -> Iterator[Step]:
    """Every step, at any depth."""
    for step in steps:
        yield step
        for inner in inside(step):
            yield from walk(inner)
