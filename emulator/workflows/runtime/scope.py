"""Variables, and where assignments go."""

from typing import Any

from emulator.workflows.runtime.execution import Frame
from emulator.workflows.values import size


class Scope:
    """Variables, inside those of the enclosing scope. Values are never changed in place, so they can be shared.

    In a branch of a parallel step, `shared` holds the names that the branch may write outside; elsewhere it is None.
    """

    __slots__ = ("frame", "parent", "shared", "sizes", "variables")

    def __init__(self, frame: Frame, parent: "Scope | None" = None, shared: frozenset[str] | None = None) -> None:
        self.frame = frame
        self.parent = parent
        self.shared = shared
        self.variables: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}

    def read(self, name: str) -> Any:
        """The value of a variable; null when no step assigned it on the path taken."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.parent
        return None

    def visible(self) -> dict[str, Any]:
        """All variables with their present values, which later steps do not change."""
        outer = {} if self.parent is None else self.parent.visible()
        return outer | self.variables

    def owner(self, name: str) -> "Scope":
        """The scope that an assignment writes to: the one that has the variable, else this one.

        A shared variable without a value yet belongs outside of the parallel step.
        """
        scope: Scope | None = self
        unknown = self
        while scope is not None:
            if name in scope.variables:
                return scope
            if scope.shared is not None:
                if name not in scope.shared or scope.parent is None:
                    return unknown
                unknown = scope.parent
            scope = scope.parent
        return unknown

    def assign(self, name: str, value: Any) -> None:
        """Store a value in the scope that owns the variable."""
        scope = self if name in self.variables else self.owner(name)
        scope.store(name, value, size(value))

    def declare(self, name: str, value: Any) -> None:
        """Store a value here, even if an enclosing scope has the variable."""
        self.store(name, value, size(value))

    def store(self, name: str, value: Any, amount: int) -> None:
        """Store a value of known size here."""
        growth = amount - self.sizes.get(name, 0)
        if growth:
            self.frame.execution.charge(growth)
        self.variables[name] = value
        self.sizes[name] = amount

    def drop(self) -> None:
        """Release the memory when the scope ends."""
        self.frame.execution.memory -= sum(self.sizes.values())
