"""How built-in functions are declared: their arguments, defaults and types are those of a Python function."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, get_args, get_origin

from emulator.workflows.errors import type_error
from emulator.workflows.values import Function, shown_type


class Kind(Enum):
    """How the implementation is called."""

    PURE = "call(*arguments)"
    CONTEXTUAL = "call(execution, *arguments)"
    BLOCKING = "await call(frame, **arguments)"


@dataclass(frozen=True, slots=True)
class Builtin:
    """A function that a workflow can call without defining it.

    The first `required` of its `parameters` have no default. `checks` are by parameter, for those that have a type:
    each returns the argument, or raises the language's TypeError.
    """

    name: str
    parameters: tuple[str, ...]
    required: int
    call: Callable[..., Any]
    kind: Kind
    in_expressions: bool
    checks: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    any_arguments: bool = False

    def value(self) -> Function:
        """The function as a value of the language, for `predicate`."""
        return Function(self.name, self.call)

    def check_names(self, arguments: dict[str, Any]) -> None:
        """Raise TypeError for unknown and missing arguments."""
        if self.any_arguments:
            return
        for name in arguments:
            if name not in self.parameters:
                raise type_error(f"{self.name}: unknown argument '{name}'")
        for name in self.parameters[: self.required]:
            if name not in arguments:
                raise type_error(f"{self.name}: argument '{name}' is missing")

    def check_types(self, arguments: dict[str, Any]) -> None:
        for name, check in self.checks.items():
            if name in arguments:
                check(arguments[name])


def declare(module: str, functions: dict[str, Callable[..., Any]]) -> list[Builtin]:
    """The functions of one module, by the name that workflows use.

    A coroutine function blocks and takes the calling frame first; a function whose first parameter is `execution`
    is contextual. The other parameters are the language's, and their annotations become `checks`.
    """
    return [_builtin(f"{module}.{name}" if module else name, function) for name, function in functions.items()]


def _builtin(name: str, function: Callable[..., Any]) -> Builtin:
    bound = function.keywords if isinstance(function, functools.partial) else {}
    parameters = [item for key, item in inspect.signature(function).parameters.items() if key not in bound]
    kind = Kind.BLOCKING if inspect.iscoroutinefunction(function) else Kind.PURE
    if kind is Kind.PURE and parameters and parameters[0].name == "execution":
        kind = Kind.CONTEXTUAL
    if kind is not Kind.PURE:
        del parameters[0]
    return Builtin(
        name,
        tuple(item.name for item in parameters),
        sum(item.default is inspect.Parameter.empty for item in parameters),
        function,
        kind,
        in_expressions=kind is not Kind.BLOCKING,
        checks={item.name: _check(item, name) for item in parameters if item.annotation is not Any},
    )


def _check(parameter: inspect.Parameter, function: str) -> Callable[[Any], Any]:
    accepted, _ = _accepted(parameter.annotation)

    def check(value: Any) -> Any:
        if type(value) in accepted:
            return value
        return expect(parameter.annotation, value, function, parameter.name)

    return check


def expect(annotation: Any, value: Any, function: str, argument: str) -> Any:
    """The value, if it has the type; raises the language's TypeError otherwise."""
    accepted, description = _accepted(annotation)
    if type(value) not in accepted:
        raise type_error(f"{function}: argument '{argument}' must be {description}, got {shown_type(value)}")
    return value


_DESCRIPTIONS: dict[Any, str] = {
    bool: "a boolean",
    bytes: "bytes",
    dict: "a map",
    float: "a number",
    int: "an integer",
    list: "a list",
    str: "a string",
}


@functools.cache
def _accepted(annotation: Any) -> tuple[frozenset[type], str]:
    """The types that an annotation accepts (a double may be given as an integer), and their description."""
    origin = get_origin(annotation) or annotation
    members = [get_origin(member) or member for member in (get_args(annotation) if origin not in (dict, list) else ())]
    members = members or [origin]
    accepted = {*members, int} if float in members else set(members)
    description = " or ".join(_DESCRIPTIONS[member] for member in members if member is not type(None))
    return frozenset(accepted), description
