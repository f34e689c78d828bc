"""Typed steps to compiled ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.workflows.compile.calls import CallOperation, PureCallOperation
from emulator.workflows.compile.evaluate import Code, Names, compile_value, resolve
from emulator.workflows.compile.loops import CompiledLoop, ForOperation
from emulator.workflows.compile.parallel import ParallelOperation
from emulator.workflows.compile.retry import CompiledRetry, TryOperation
from emulator.workflows.compile.steps import (
    BREAK,
    CONTINUE,
    END,
    AssignOperation,
    Block,
    CompiledCase,
    GroupOperation,
    Jump,
    Operation,
    RaiseOperation,
    Returned,
    ReturnOperation,
    Signal,
    SwitchOperation,
)
from emulator.workflows.compile.targets import Assigner
from emulator.workflows.connectors import index
from emulator.workflows.errors import type_error
from emulator.workflows.library import FUNCTIONS
from emulator.workflows.library.table import BLOCKING, CONTEXTUAL, LibraryFunction
from emulator.workflows.runtime.scope import Frame, Scope
from emulator.workflows.syntax.program import (
    Assign,
    CallStep,
    Constant,
    For,
    Group,
    Loop,
    MapValue,
    Parallel,
    Parameter,
    Place,
    Program,
    Raise,
    Retry,
    Return,
    Routine,
    Step,
    Switch,
    Try,
    Value,
)
from emulator.workflows.syntax.variables import declared

_WORDS: dict[str, Signal] = {"break": BREAK, "continue": CONTINUE, "end": END}


class CompiledRoutine:
    """A routine that can be called."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parameters: list[tuple[str, Code | None]] = []
        self.block = Block([])

    async def call(self, frame: Frame, positional: list[Any]) -> Any:
        """Call it with arguments by position."""
        if len(positional) > len(self.parameters):
            raise type_error(f"{self.name}() takes {len(self.parameters)} arguments, got {len(positional)}")
        names = [name for name, _ in self.parameters]
        return await self.run(frame.call(self.name), dict(zip(names, positional, strict=False)))

    async def call_named(self, frame: Frame, arguments: dict[str, Any]) -> Any:
        """Call it with arguments by name."""
        known = {name for name, _ in self.parameters}
        for name in arguments:
            if name not in known:
                raise type_error(f"{self.name}() has no parameter '{name}'")
        return await self.run(frame.call(self.name), arguments)

    async def run(self, frame: Frame, arguments: dict[str, Any]) -> Any:
        """Run it in a frame of its own."""
        scope = Scope(frame)
        try:
            for name, default in self.parameters:
                if name in arguments:
                    scope.declare(name, arguments[name])
                elif default is None:
                    raise type_error(f"{self.name}() misses its argument '{name}'")
                else:
                    scope.declare(name, await resolve(default, scope))
            signal = await self.block.run(scope)
        finally:
            scope.drop()
        return signal.value if isinstance(signal, Returned) else None


def compile_program(program: Program) -> dict[str, CompiledRoutine]:
    """Every routine, ready to run."""
    routines = {name: CompiledRoutine(name) for name in program.routines}
    for name, routine in program.routines.items():
        _RoutineCompiler(program, routine, routines).compile(routines[name])
    return routines


def _signal(target: str | None) -> Signal:
    return None if target is None else _WORDS.get(target, Jump(target))


class _RoutineCompiler:
    def __init__(self, program: Program, routine: Routine, routines: dict[str, CompiledRoutine]) -> None:
        self.routine = routine
        self.parameter_names = {
            name: [parameter.name for parameter in other.parameters] for name, other in program.routines.items()
        }
        self.names = Names(declared(routine), dict(routines))
        self.routines = routines
        self._steps: dict[type[Step], Callable[[Any], Operation]] = {
            Assign: self._assign,
            CallStep: self._call,
            Switch: self._switch,
            For: self._for,
            Parallel: self._parallel,
            Try: self._try,
            Raise: lambda step: RaiseOperation(*_common(step), self.code(step.value)),
            Return: lambda step: ReturnOperation(*_common(step), self.code(step.value)),
            Group: lambda step: GroupOperation(*_common(step), self.block(step.steps)),
        }

    def compile(self, compiled: CompiledRoutine) -> None:
        compiled.parameters = [self._parameter(parameter) for parameter in self.routine.parameters]
        compiled.block = self.block(self.routine.steps)

    def code(self, value: Value) -> Code:
        return compile_value(value, self.names)

    def optional(self, value: Value | None) -> Code | None:
        return None if value is None else self.code(value)

    def block(self, steps: list[Step]) -> Block:
        anonymous = any(step.anonymous for step in steps)
        return Block([self.operation(step) for step in steps], anonymous)

    def operation(self, step: Step) -> Operation:
        build = self._steps.get(type(step))
        return Operation(*_common(step)) if build is None else build(step)

    def _parameter(self, parameter: Parameter) -> tuple[str, Code | None]:
        return parameter.name, self.optional(parameter.default)

    def _assign(self, step: Assign) -> Operation:
        assignments = [
            (Assigner(target, self.names), self.code(value), place) for target, value, place in step.assignments
        ]
        return AssignOperation(*_common(step), assignments)

    def _call(self, step: CallStep) -> Operation:
        arguments = self._arguments(step)
        function = FUNCTIONS.get(step.function)
        if function is not None and function.kind != BLOCKING and not arguments.awaits:
            return PureCallOperation(*_common(step), _now(function), arguments, step.result)
        return CallOperation(*_common(step), step.function, self._perform(step), arguments, step.result)

    def _arguments(self, step: CallStep) -> Code:
        if step.argument_map is not None:
            return self.code(step.argument_map)
        where, arguments = step.place, step.arguments
        if step.positional is not None:
            arguments = dict(zip(self._parameters(step.function), step.positional, strict=False))
        entries: list[tuple[Value, Value]] = [(Constant(name, where), value) for name, value in arguments.items()]
        if all(isinstance(value, Constant) for _, value in entries):
            content = {name: value.value for name, value in arguments.items() if isinstance(value, Constant)}
            return self.code(Constant(content, where))
        return self.code(MapValue(entries, where))

    def _parameters(self, function: str) -> list[str]:
        if function in FUNCTIONS:
            return list(FUNCTIONS[function].parameters)
        return self.parameter_names[function]

    def _perform(self, step: CallStep) -> Any:
        routine = self.routines.get(step.function)
        if routine is not None:
            return lambda scope, arguments: routine.call_named(scope.frame, arguments)
        function = FUNCTIONS.get(step.function)
        if function is None:
            connector = index.performer(step.function)
            return lambda scope, arguments: connector(scope.frame, arguments)
        if function.kind == BLOCKING:
            return lambda scope, arguments: _blocking(function, scope, arguments)
        now = _now(function)

        async def later(scope: Scope, arguments: dict[str, Any]) -> Any:
            return now(scope, arguments)

        return later

    def _switch(self, step: Switch) -> Operation:
        cases = [
            CompiledCase(self.code(case.condition), self.block(case.steps), _signal(case.next), case.place)
            for case in step.cases
        ]
        return SwitchOperation(*_common(step), cases)

    def _loop(self, loop: Loop) -> CompiledLoop:
        return CompiledLoop(
            loop.value,
            loop.index,
            self.optional(loop.items),
            self.optional(loop.start),
            self.optional(loop.end),
            self.block(loop.steps),
        )

    def _for(self, step: For) -> Operation:
        return ForOperation(*_common(step), self._loop(step.loop))

    def _parallel(self, step: Parallel) -> Operation:
        return ParallelOperation(
            *_common(step),
            frozenset(name for name, _ in step.shared),
            self.optional(step.concurrency_limit),
            [(branch.name, self.block(branch.steps)) for branch in step.branches],
            None if step.loop is None else self._loop(step.loop),
        )

    def _try(self, step: Try) -> Operation:
        handler = step.handler
        return TryOperation(
            *_common(step),
            self.block(step.steps),
            None if step.retry is None else self._retry(step.retry),
            None if handler is None else (handler.variable, self.block(handler.steps), handler.place),
        )

    def _retry(self, retry: Retry) -> CompiledRetry:
        return CompiledRetry(
            self.optional(retry.policy),
            self.optional(retry.predicate),
            self.optional(retry.max_retries),
            self.optional(retry.backoff),
            retry.place,
        )


def _common(step: Step) -> tuple[str, Place, Signal]:
    return step.name, step.place, _signal(step.next)


def _now(function: LibraryFunction) -> Callable[[Scope, dict[str, Any]], Any]:
    """A function of the library that never waits, called by name."""

    def call(scope: Scope, arguments: dict[str, Any]) -> Any:
        _check(function, arguments)
        if function.kind == CONTEXTUAL:
            return function.call(scope.frame.execution, **arguments)
        return function.call(**arguments)

    return call


async def _blocking(function: LibraryFunction, scope: Scope, arguments: dict[str, Any]) -> Any:
    _check(function, arguments)
    return await function.call(scope.frame, **arguments)


def _check(function: LibraryFunction, arguments: dict[str, Any]) -> None:
    """Arguments that came as one expression are checked only now."""
    for name in arguments:
        if name not in function.parameters:
            raise type_error(f"{function.name}: unknown argument '{name}'")
    for name in function.parameters[: function.required]:
        if name not in arguments:
            raise type_error(f"{function.name}: argument '{name}' is missing")
