"""Whether the names in an expression are defined where it stands."""

from collections.abc import Iterator

from emulator.workflows import functions
from emulator.workflows.deploy_checks.signatures import Signatures
from emulator.workflows.library.retry import OBJECTS
from emulator.workflows.syntax.ast import Call, Expression, children, dotted


class Symbols:
    """The variables visible in one place, and everything that can be called."""

    def __init__(self, names: set[str], signatures: Signatures) -> None:
        self.names = names
        self.signatures = signatures

    def problems(self, node: Expression) -> Iterator[str]:
        """The problems with the names in an expression."""
        path = dotted(node)
        if path is not None:
            yield from self._path(path)
            return
        if isinstance(node, Call):
            yield from self.signatures.expression_call(node.callee, len(node.arguments))
        for child in children(node):
            yield from self.problems(child)

    def _path(self, path: str) -> Iterator[str]:
        head = path.partition(".")[0]
        if head in self.names or path in self.signatures.routines:
            return
        if any(path == name or path.startswith(f"{name}.") for name in OBJECTS):
            return
        if functions.find(path) is not None:
            yield f"'{path}' is a function; call it with its arguments in parentheses"
        else:
            yield f"symbol '{head}' is neither a variable nor a sub-workflow name"
