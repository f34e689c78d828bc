"""Compiles expressions to closures over a scope: coroutine functions where something has to wait, else plain ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.workflows import functions
from emulator.workflows.compile.operators import BINARY, UNARY, boolean, item, member
from emulator.workflows.errors import type_error
from emulator.workflows.library.builtin import Builtin, Kind
from emulator.workflows.library.retry import OBJECTS
from emulator.workflows.runtime.execution import Frame
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.syntax.ast import (
    Binary,
    Call,
    Expression,
    Index,
    ListLiteral,
    Literal,
    Member,
    Name,
    Unary,
    dotted,
)
from emulator.workflows.syntax.steps import Computed, Constant, ListValue, Value
from emulator.workflows.values import Function


class Subworkflow(Protocol):
    """A compiled subworkflow."""

    name: str

    async def call(self, frame: Frame, positional: list[Any]) -> Any:
        """Call it with arguments by position."""
        ...


Run = Callable[[Scope], Any]


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled value: `run(scope)` returns it, or an awaitable of it when `awaits`."""

    run: Run
    awaits: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """The variables of one routine, and the routines of the workflow."""

    variables: frozenset[str]
    routines: Mapping[str, Subworkflow]


def constant(value: Any) -> Code:
    """The closure of a constant."""
    return Code(lambda _scope: value)


def compile_value(value: Value, names: Names) -> Code:
    """The closure of a value in a step."""
    if isinstance(value, Constant):
        return constant(value.value)
    if isinstance(value, Computed):
        return compile_expression(value.expression, names)
    if isinstance(value, ListValue):
        return _strict([compile_value(entry, names) for entry in value.items], _list_of)
    return _strict([compile_value(part, names) for entry in value.entries for part in entry], _map_of)


def _list_of(*values: Any) -> list[Any]:
    return list(values)


def _map_of(*values: Any) -> dict[str, Any]:
    pairs = dict(zip(values[::2], values[1::2], strict=True))
    for key in pairs:
        if type(key) is not str:
            raise type_error("a map's key must be a string")
    return pairs


def compile_expression(node: Expression, names: Names) -> Code:
    """The closure of an expression."""
    match node:
        case Literal(value):
            return constant(value)
        case Name(name):
            return _name(name, names)
        case Member():
            return _member(node, names)
        case Index(value, index):
            return _strict([compile_expression(value, names), compile_expression(index, names)], item)
        case ListLiteral(items):
            return _strict([compile_expression(entry, names) for entry in items], _list_of)
        case Unary(operator, operand):
            return _strict([compile_expression(operand, names)], UNARY[operator])
        case Binary("and" | "or" as operator, left, right):
            return _logical(operator, compile_expression(left, names), compile_expression(right, names))
        case Binary(operator, left, right):
            operands = [compile_expression(left, names), compile_expression(right, names)]
            return _strict(operands, BINARY[operator])
        case Call(callee, arguments):
            return _call(callee, [compile_expression(argument, names) for argument in arguments], names)


def _name(name: str, names: Names) -> Code:
    if name not in names.variables and name in names.routines:
        return constant(Function(name, names.routines[name].call))

    def read(scope: Scope) -> Any:
        variables = scope.variables
        return variables[name] if name in variables else scope.read(name)

    return Code(read)


def _member(node: Member, names: Names) -> Code:
    path = dotted(node)
    if path in OBJECTS and path is not None and path.partition(".")[0] not in names.variables:
        return constant(OBJECTS[path])
    name = node.name
    value = compile_expression(node.value, names)
    run = value.run
    if value.awaits:

        async def later(scope: Scope) -> Any:
            return member(await run(scope), name)

        return Code(later, awaits=True)
    return Code(lambda scope: member(run(scope), name))


def _strict(operands: list[Code], apply: Callable[..., Any]) -> Code:
    """An operation on the values of all its operands."""
    if any(operand.awaits for operand in operands):
        return _strict_later(operands, apply)
    runs = [operand.run for operand in operands]
    if len(runs) == 1:
        only = runs[0]
        return Code(lambda scope: apply(only(scope)))
    if len(runs) == 2:
        left, right = runs
        return Code(lambda scope: apply(left(scope), right(scope)))
    return Code(lambda scope: apply(*[run(scope) for run in runs]))


def _strict_later(operands: list[Code], apply: Callable[..., Any]) -> Code:
    """The same, when some operands have to wait.

    Those are evaluated first, so that `total + call()` reads `total` after the call: an assignment to a shared
    variable then loses no update of another branch.
    """

    async def evaluate(scope: Scope) -> Any:
        values: list[Any] = [None] * len(operands)
        for at, operand in enumerate(operands):
            if operand.awaits:
                values[at] = await operand.run(scope)
        for at, operand in enumerate(operands):
            if not operand.awaits:
                values[at] = operand.run(scope)
        return apply(*values)

    return Code(evaluate, awaits=True)


def _logical(operator: str, left: Code, right: Code) -> Code:
    """`and`, `or`: the right operand is evaluated only when the left one does not decide."""
    decides = operator == "or"
    first, second = left.run, right.run
    if not (left.awaits or right.awaits):

        def evaluate(scope: Scope) -> bool:
            if boolean(first(scope), operator) is decides:
                return decides
            return boolean(second(scope), operator)

        return Code(evaluate)

    async def later(scope: Scope) -> bool:
        value = await first(scope) if left.awaits else first(scope)
        if boolean(value, operator) is decides:
            return decides
        return boolean(await second(scope) if right.awaits else second(scope), operator)

    return Code(later, awaits=True)


def _call(callee: str, arguments: list[Code], names: Names) -> Code:
    builtin = functions.find(callee)
    if builtin is None:
        return _routine_call(names.routines[callee], arguments)
    arguments = [
        _strict([code], builtin.checks[name]) if name in builtin.checks else code
        for name, code in zip(builtin.parameters, arguments, strict=False)
    ]
    if builtin.kind is Kind.BLOCKING:
        return _blocking_call(builtin, arguments)
    if builtin.kind is Kind.CONTEXTUAL:
        arguments = [Code(lambda scope: scope.frame.execution), *arguments]
    return _strict(arguments, builtin.call)


def _blocking_call(builtin: Builtin, arguments: list[Code]) -> Code:
    values = _strict(arguments, _list_of)

    async def call(scope: Scope) -> Any:
        return await builtin.call(scope.frame, *await resolve(values, scope))

    return Code(call, awaits=True)


def _routine_call(routine: Subworkflow, arguments: list[Code]) -> Code:
    values = _strict(arguments, _list_of)

    async def call(scope: Scope) -> Any:
        return await routine.call(scope.frame, await resolve(values, scope))

    return Code(call, awaits=True)


async def resolve(code: Code, scope: Scope) -> Any:
    """The value of code, whether it awaits or not."""
    return await code.run(scope) if code.awaits else code.run(scope)
