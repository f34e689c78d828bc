"""The variables that steps declare and assign."""

from emulator.workflows.syntax.ast import root_name
from emulator.workflows.syntax.steps import Assign, CallStep, Parallel, Routine, Step, Try
from emulator.workflows.syntax.traversal import loop_of, nested, same_scope, walk


def declared(routine: Routine) -> frozenset[str]:
    """Every variable of a routine, in any scope."""
    names = {parameter.name for parameter in routine.parameters}
    for step in walk(routine.steps):
        names |= written(step)
        loop = loop_of(step)
        if loop is not None:
            names |= {loop.value, loop.index or loop.value}
        if isinstance(step, Try) and step.handler is not None and step.handler.variable:
            names.add(step.handler.variable)
    return frozenset(names)


def written(step: Step) -> set[str]:
    """The variables that a step itself assigns."""
    if isinstance(step, Assign):
        return {root_name(target) for target, _, _ in step.assignments}
    if isinstance(step, CallStep) and step.result is not None:
        return {step.result}
    return set()


def assigned(steps: list[Step]) -> set[str]:
    """The variables that steps assign in their own scope.

    Shared variables that only the branches of a parallel step assign belong to the scope of that step.
    """
    names: set[str] = set()
    for step in steps:
        names |= written(step)
        for inner in same_scope(step):
            names |= assigned(inner)
        if isinstance(step, Parallel):
            shared = {name for name, _ in step.shared}
            for inner in nested(step):
                names |= assigned(inner) & shared
    return names
