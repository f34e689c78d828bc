"""Whether calls name an existing function and pass the arguments that it takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emulator.workflows import functions
from emulator.workflows.library.builtin import Builtin
from emulator.workflows.syntax.steps import CallStep, Place, Routine


@dataclass(frozen=True, slots=True)
class _Signature:
    parameters: Sequence[str]
    required: Sequence[str]


class Signatures:
    """The functions that the steps of a workflow can call: its own routines and the built-in ones."""

    def __init__(self, routines: dict[str, Routine]) -> None:
        self.routines = routines

    def call_step(self, step: CallStep) -> Iterator[tuple[str, Place]]:
        """The problems of a `call` step."""
        name, builtin = step.function, functions.find(step.function)
        signature = self._signature(name, builtin)
        if signature is None:
            unknown = f"unknown connector '{name}'" if functions.is_connector(name) else self.unknown(name)
            yield unknown, step.place
        elif step.positional is not None and functions.is_connector(name):
            yield f"'args' of '{name}' must be a map", step.place
        elif builtin is not None and builtin.any_arguments:
            return
        elif step.positional is not None:
            yield from ((message, step.place) for message in _count(name, len(step.positional), signature))
        elif step.argument_map is None:
            yield from _names(step, signature)

    def expression_call(self, name: str, count: int) -> Iterator[str]:
        """The problems of a call in an expression, with that many arguments."""
        builtin = functions.find(name)
        signature = self._signature(name, builtin)
        if (builtin is not None and not builtin.in_expressions) or (builtin is None and functions.is_connector(name)):
            yield f"'{name}' is a blocking call and cannot stand in an expression; use a 'call' step"
        elif signature is None:
            yield self.unknown(name)
        else:
            yield from _count(name, count, signature)

    def _signature(self, name: str, builtin: Builtin | None) -> _Signature | None:
        if builtin is not None:
            return _Signature(builtin.parameters, builtin.parameters[: builtin.required])
        if name not in self.routines:
            return None
        parameters = self.routines[name].parameters
        required = [parameter.name for parameter in parameters if parameter.default is None]
        return _Signature([parameter.name for parameter in parameters], required)

    def unknown(self, name: str) -> str:
        near = functions.nearest(name, self.routines)
        hint = f"; did you mean '{near}'?" if near else ""
        return f"'{name}' is neither a sub-workflow nor a function of the standard library{hint}"


def _count(name: str, count: int, signature: _Signature) -> Iterator[str]:
    least, most = len(signature.required), len(signature.parameters)
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        yield f"{name}() takes {wanted} arguments, got {count}"


def _names(step: CallStep, signature: _Signature) -> Iterator[tuple[str, Place]]:
    unknown = [name for name in step.arguments if name not in signature.parameters]
    missing = [f"'{name}'" for name in signature.required if name not in step.arguments]
    also_missing = f"; missing: {', '.join(missing)}" if missing else ""
    for name in unknown:
        yield f"unknown argument '{name}' of '{step.function}'{also_missing}", step.argument_places[name]
    if missing and not unknown:
        yield f"argument {missing[0]} of '{step.function}' is missing", step.place
