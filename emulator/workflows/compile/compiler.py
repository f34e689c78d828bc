"""Compiles the routines of a workflow."""

from collections.abc import Callable
from typing import Any

from emulator.workflows import functions
from emulator.workflows.compile.assignment import Assigner
from emulator.workflows.compile.calls import CallOperation, ImmediateCallOperation, awaited, immediate
from emulator.workflows.compile.expressions import Code, Names, compile_value, resolve
from emulator.workflows.compile.loops import CompiledLoop, ForOperation
from emulator.workflows.compile.operations import (
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
from emulator.workflows.compile.parallel import ParallelOperation
from emulator.workflows.compile.retry import CompiledRetry, TryOperation
from emulator.workflows.errors import type_error
from emulator.workflows.library.builtin import Kind
from emulator.workflows.runtime.execution import Frame
from emulator.workflows.runtime.scope import Scope
from emulator.workflows.syntax.steps import (
    Assign,
    CallStep,
    Constant,
    For,
    Group,
    Loop,
    MapValue,
    Parallel,
    Place,
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

_KEYWORDS: dict[str, Signal] = {"break": BREAK, "continue": CONTINUE, "end": END}


class CompiledRoutine:
    """`main` or a subworkflow, ready to be called."""

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

    async def call_named(self, scope: Scope, arguments: dict[str, Any]) -> Any:
        """Call it with arguments by name."""
        known = {name for name, _ in self.parameters}
        for name in arguments:
            if name not in known:
                raise type_error(f"{self.name}() has no parameter '{name}'")
        return await self.run(scope.frame.call(self.name), arguments)

    async def run(self, frame: Frame, arguments: dict[str, Any]) -> Any:
        """Run it in the frame that was made for this call."""
        scope = Scope(frame)
        try:
            for name, default in self.parameters:
                if name in arguments:
                    scope.declare(name, arguments[name])
                elif default is None:
                    raise type_error(f"{self.name}(): argument '{name}' is missing")
                else:
                    scope.declare(name, await resolve(default, scope))
            signal = await self.block.run(scope)
        finally:
            scope.drop()
        return signal.value if isinstance(signal, Returned) else None


def compile_routines(routines: dict[str, Routine]) -> dict[str, CompiledRoutine]:
    """Every routine of a checked workflow, ready to run."""
    compiled = {name: CompiledRoutine(name) for name in routines}
    for name, routine in routines.items():
        _RoutineCompiler(routine, routines, compiled).compile(compiled[name])
    return compiled


def _signal(target: str | None) -> Signal:
    return None if target is None else _KEYWORDS.get(target, Jump(target))


class _RoutineCompiler:
    def __init__(self, routine: Routine, routines: dict[str, Routine], compiled: dict[str, CompiledRoutine]) -> None:
        self.routine = routine
        self.routines = routines
        self.compiled = compiled
        self.names = Names(declared(routine), compiled)
        self._steps: dict[type[Step], Callable[[Any], Operation]] = {
            Assign: self._assign,
            CallStep: self._call,
            Switch: self._switch,
            For: lambda step: ForOperation(*_common(step), self._loop(step.loop)),
            Parallel: self._parallel,
            Try: self._try,
            Raise: lambda step: RaiseOperation(*_common(step), self.code(step.value)),
            Return: lambda step: ReturnOperation(*_common(step), self.code(step.value)),
            Group: lambda step: GroupOperation(*_common(step), self.block(step.steps)),
        }

    def compile(self, compiled: CompiledRoutine) -> None:
        compiled.parameters = [(item.name, self.optional(item.default)) for item in self.routine.parameters]
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

    def _assign(self, step: Assign) -> Operation:
        assignments = [
            (Assigner(target, self.names), self.code(value), place) for target, value, place in step.assignments
        ]
        return AssignOperation(*_common(step), assignments)

    def _call(self, step: CallStep) -> Operation:
        builtin, arguments = functions.find(step.function), self._arguments(step)
        if builtin is None:
            routine = self.compiled[step.function]
            return CallOperation(*_common(step), step.function, routine.call_named, arguments, step.result)
        checked = step.argument_map is None
        if builtin.kind is Kind.BLOCKING or arguments.awaits:
            return CallOperation(
                *_common(step), step.function, awaited(builtin, checked=checked), arguments, step.result
            )
        return ImmediateCallOperation(*_common(step), immediate(builtin, checked=checked), arguments, step.result)

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
        builtin = functions.find(function)
        if builtin is not None:
            return list(builtin.parameters)
        return [parameter.name for parameter in self.routines[function].parameters]

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
