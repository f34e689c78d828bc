"""Assignment to variables, and to members and elements of them."""

from collections.abc import Callable
from typing import Any

from emulator.workflows.compile.expressions import Code, Names, compile_expression, resolve
from emulator.workflows.compile.operators import item, position
from emulator.workflows.errors import type_error
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.syntax.ast import Index, Literal, Member, Name, Target
from emulator.workflows.values import shown_type, size

_MISSING = object()
Store = Callable[[Scope, Any], None]


class Assigner:
    """Stores values at one target. The containers on the path are copied, so other references see no change."""

    def __init__(self, target: Target, names: Names) -> None:
        self.keys: list[Code] = []
        node: Any = target
        while not isinstance(node, Name):
            if isinstance(node, Member):
                self.keys.append(compile_expression(Literal(node.name), names))
            elif isinstance(node, Index):
                self.keys.append(compile_expression(node.index, names))
            node = node.value
        self.keys.reverse()
        self.name = node.name
        self.awaits = any(key.awaits for key in self.keys)

    def store(self, scope: Scope, value: Any) -> None:
        """Store a value when no key of the path awaits."""
        if self.keys:
            self._put(scope, [key.run(scope) for key in self.keys], value)
        else:
            scope.assign(self.name, value)

    async def store_later(self, scope: Scope, value: Any) -> None:
        """Store a value when a key of the path may await."""
        if self.keys:
            self._put(scope, [await resolve(key, scope) for key in self.keys], value)
        else:
            scope.assign(self.name, value)

    def _put(self, scope: Scope, path: list[Any], value: Any) -> None:
        owner = scope.owner(self.name)
        root = owner.variables.get(self.name, _MISSING)
        base = _outer_value(scope, self.name) if root is _MISSING else root
        change = size(value)
        updated, difference = _replaced({} if base is None else base, path, 0, value, change)
        known = owner.sizes.get(self.name)
        amount = size(updated) if known is None or base is None else known + difference
        owner.store(self.name, updated, amount)


def _outer_value(scope: Scope, name: str) -> Any:
    """The value of a variable in the enclosing scopes."""
    parent = scope.parent
    while parent is not None:
        if name in parent.variables:
            return parent.variables[name]
        parent = parent.parent
    return None


def _replaced(container: Any, path: list[Any], at: int, value: Any, amount: int) -> tuple[Any, int]:
    """A copy of the container with the value at the path replaced, and by how many bytes it is larger."""
    key, last = path[at], at == len(path) - 1
    if type(container) is dict:
        if type(key) is not str:
            raise type_error(f"a map's key must be a string, got {shown_type(key)}")
        old = container.get(key, _MISSING)
    elif type(container) is list:
        old = container[position(container, key)]
    else:
        item(container, key)
        raise type_error(f"cannot assign into {shown_type(container)}")
    if last:
        new, difference = value, amount - (0 if old is _MISSING else size(old))
    else:
        inner = {} if old is _MISSING or old is None else old
        new, difference = _replaced(inner, path, at + 1, value, amount)
        difference -= size(old) if old is None else 0
    if old is _MISSING:
        difference += len(key.encode("utf-8", "surrogatepass"))
    copied = container.copy()
    copied[key] = new
    return copied, difference
