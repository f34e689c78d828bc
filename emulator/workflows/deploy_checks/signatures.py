"""What can be called, and with which arguments."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from emulator.workflows.connectors import index
from emulator.workflows.library import FUNCTIONS
from emulator.workflows.library.table import BLOCKING
from emulator.workflows.syntax.program import CallStep, Place, Program


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
        if step.positional is not None:
            message = self._positional(name, len(step.positional))
            if message is not None:
                yield message, step.place
        elif name in self.routines:
            parameters = [parameter for parameter, _ in self.routines[name]]
            required = [parameter for parameter, needed in self.routines[name] if needed]
            yield from _named(step, parameters, required)
        elif name in FUNCTIONS:
            function = FUNCTIONS[name]
            yield from _named(step, function.parameters, function.parameters[: function.required])
        elif index.is_connector(name):
            connector = index.find(name)
            if connector is not None:
                yield from _named(step, connector.arguments, connector.required)
            elif not index.may_exist(name):
                yield f"unknown connector '{name}'", step.place
        else:
            yield self.unknown(name), step.place

    def _positional(self, name: str, count: int) -> str | None:
        """What is wrong with a `call` step whose `args` are a list."""
        if name in FUNCTIONS:
            function = FUNCTIONS[name]
            return _count(name, count, function.required, len(function.parameters))
        if index.is_connector(name):
            return f"'args' of '{name}' must be a map"
        return self.expression_call(name, count)

    def expression_call(self, name: str, count: int) -> str | None:
        """What is wrong with a call by position inside an expression."""
        if name in FUNCTIONS:
            function = FUNCTIONS[name]
            if function.kind == BLOCKING:
                return _blocking(name)
            return _count(name, count, function.required, len(function.parameters))
        if index.is_connector(name):
            helper = index.in_expressions(name)
            if helper is None:
                return _blocking(name)
            return _count(name, count, len(helper.required), len(helper.required) + len(helper.optional))
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


def _named(step: CallStep, allowed: Collection[str], required: Collection[str]) -> Iterator[tuple[str, Place]]:
    if step.argument_map is not None:
        return
    unknown = [name for name in step.arguments if name not in allowed]
    missing = [f"'{name}'" for name in required if name not in step.arguments]
    lacking = f"; missing: {', '.join(missing)}" if missing else ""
    for name in unknown:
        yield f"unknown argument '{name}' of '{step.function}'{lacking}", step.argument_places[name]
    if missing and not unknown:
        yield f"argument {missing[0]} of '{step.function}' is missing", step.place
