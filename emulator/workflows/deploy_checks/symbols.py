"""Whether the names of an expression mean something where it stands."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.workflows.deploy_checks.signatures import Signatures
from emulator.workflows.library import FUNCTIONS, OBJECTS
from emulator.workflows.syntax.nodes import Binary, Call, Expression, Index, ListLiteral, Member, Name, Unary, dotted


class Symbols:
    """The variables visible at one place, and everything that can be called."""

    def __init__(self, names: set[str], signatures: Signatures) -> None:
        self.names = names
        self.signatures = signatures

    def problems(self, node: Expression) -> Iterator[str]:
        """What is wrong with the names of an expression."""
        match node:
            case Name(name):
                if name not in self.names and name not in self.signatures.routines:
                    yield _unknown(name)
            case Member():
                yield from self._member(node)
            case Index(value, index):
                yield from self.problems(value)
                yield from self.problems(index)
            case Call(callee, arguments):
                message = self.signatures.expression_call(callee, len(arguments))
                if message is not None:
                    yield message
                for argument in arguments:
                    yield from self.problems(argument)
            case Unary(_, operand):
                yield from self.problems(operand)
            case Binary(_, left, right):
                yield from self.problems(left)
                yield from self.problems(right)
            case ListLiteral(items):
                for item in items:
                    yield from self.problems(item)

    def _member(self, node: Member) -> Iterator[str]:
        path = dotted(node)
        if path is None:
            yield from self.problems(node.value)
            return
        head = path.partition(".")[0]
        if head in self.names or any(path == name or path.startswith(f"{name}.") for name in OBJECTS):
            return
        if path in FUNCTIONS:
            yield f"'{path}' is a function; call it with its arguments in parentheses"
        else:
            yield _unknown(head)


def _unknown(name: str) -> str:
    return f"symbol '{name}' is neither a variable nor a sub-workflow name"
