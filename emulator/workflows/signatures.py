"""What can be called, and with which arguments."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from . import connectors
from .program import CallStep, Place, Program
from .stdlib import FUNCTIONS
from .stdlib.table import BLOCKING


class Signatures:
    """The routines of one program, and the library."""

    def __init__(self, program: Program) -> None:
        self.routines = {
            name: [(parameter.name, parameter.default is None) for parameter in routine.parameters]
            for name, routine in program.routines.items()
        }

    def call_step(self, step: CallStep) -> Iterator[tuple[str, Place]]:
        """What is wrong with a `call` step."""
        name = step.function
        if name in self.routines:
            parameters = [parameter for parameter, _ in self.routines[name]]
            required = [parameter for parameter, needed in self.routines[name] if needed]
            yield from _named(step, parameters, required)
        elif name in FUNCTIONS:
            function = FUNCTIONS[name]
            yield from _named(step, function.parameters, function.parameters[: function.required])
        elif name.startswith("googleapis."):
            known, required = connectors.required_arguments(name)
            if not known:
                yield f"unknown connector '{name}'", step.place
            yield from _named(step, None, required)
        else:
            yield self.unknown(name), step.place

    def expression_call(self, name: str, count: int) -> str | None:
        """What is wrong with a call by position inside an expression."""
        if name in FUNCTIONS:
            function = FUNCTIONS[name]
            if function.kind == BLOCKING:
                return _blocking(name)
            return _count(name, count, function.required, len(function.parameters))
        if name.startswith("googleapis."):
            return _blocking(name)
        if name in self.routines:
            required = sum(needed for _, needed in self.routines[name])
            return _count(name, count, required, len(self.routines[name]))
        return self.unknown(name)

    def unknown(self, name: str) -> str:
        """The message for a name that nothing answers to, with the nearest one that something does."""
        near = difflib.get_close_matches(name, [*FUNCTIONS, *self.routines], 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"'{name}' is neither a sub-workflow nor a function of the standard library{hint}"


def _blocking(name: str) -> str:
    return f"'{name}' is a blocking call and cannot stand in an expression; use a 'call' step"


def _count(name: str, count: int, least: int, most: int) -> str | None:
    if least <= count <= most:
        return None
    wanted = str(least) if least == most else f"{least} to {most}"
    return f"{name}() takes {wanted} arguments, got {count}"


def _named(
    step: CallStep, allowed: list[str] | tuple[str, ...] | None, required: list[str] | tuple[str, ...]
) -> Iterator[tuple[str, Place]]:
    if step.argument_map is not None:
        return
    for name in step.arguments:
        if allowed is not None and name not in allowed:
            yield f"unknown argument '{name}' of '{step.function}'", step.argument_places[name]
    for name in required:
        if name not in step.arguments:
            yield f"argument '{name}' of '{step.function}' is missing", step.place
