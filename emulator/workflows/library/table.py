"""How the library is declared: one table of functions, with the names of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator.workflows.values import Function

PURE = "pure"  # call(*arguments): may stand in an expression
CONTEXTUAL = "contextual"  # call(execution, *arguments): may stand in an expression
BLOCKING = "blocking"  # async call(frame, **arguments): only in a `call` step


@dataclass(frozen=True, slots=True)
class LibraryFunction:
    """One function. `required` of its `parameters` must be given; `aliases` are other accepted names."""

    name: str
    parameters: tuple[str, ...]
    required: int
    call: Callable[..., Any]
    kind: str = PURE
    open_ended: bool = False

    def value(self) -> Function:
        """The function as a value, for `predicate`."""
        return Function(self.name, self.call)


def declare(
    module: str, functions: dict[str, tuple[str, Callable[..., Any]]], kind: str = PURE
) -> list[LibraryFunction]:
    """Functions of one module: name to ("required other_required optional?", implementation)."""
    declared = []
    for name, (signature, call) in functions.items():
        words = signature.split()
        required = sum(not word.endswith("?") for word in words)
        parameters = tuple(word.rstrip("?") for word in words)
        full = f"{module}.{name}" if module else name
        declared.append(LibraryFunction(full, parameters, required, call, kind))
    return declared
