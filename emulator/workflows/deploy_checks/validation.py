"""Checks a workflow whose structure is valid: names, scopes, jumps, arguments."""

from dataclasses import dataclass, field, replace

from emulator.workflows.deploy_checks.signatures import Signatures
from emulator.workflows.deploy_checks.symbols import Symbols
from emulator.workflows.errors import Problem
from emulator.workflows.syntax.ast import Index, Member, Target, root_name
from emulator.workflows.syntax.steps import (
    Assign,
    CallStep,
    Computed,
    Constant,
    For,
    Loop,
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
from emulator.workflows.syntax.traversal import expressions, same_scope
from emulator.workflows.syntax.variables import assigned

_KEYWORDS = ("break", "continue", "end")


def validate(routines: dict[str, Routine], file: str) -> list[Problem]:
    """Every problem of a workflow whose structure is valid."""
    signatures = Signatures(routines)
    problems: list[Problem] = []
    for routine in routines.values():
        checker = _RoutineChecker(file, signatures)
        checker.routine(routine)
        problems += checker.problems
    return problems


@dataclass(slots=True)
class _Scope:
    """What is visible in one place.

    `names` are all readable variables, `before` those assigned earlier in the source, `frozen` those outside of a
    parallel step that it does not share. `steps` are the names that `next` can reach, `loop` is the kind of the
    innermost loop, and `branch` is set inside a parallel step.
    """

    names: set[str]
    before: set[str] = field(default_factory=set)
    frozen: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    loop: str | None = None
    branch: bool = False

    def inner(self, variables: set[str], steps: list[Step]) -> "_Scope":
        """The scope of steps inside this one, with variables of their own."""
        names = self.names | variables | assigned(steps)
        return replace(self, names=names, before=self.before | variables, frozen=self.frozen - variables)


class _RoutineChecker:
    def __init__(self, file: str, signatures: Signatures) -> None:
        self.file = file
        self.signatures = signatures
        self.problems: list[Problem] = []
        self.step = ""

    def problem(self, message: str, place: Place) -> None:
        where = f"error in step {self.step}: " if self.step else ""
        self.problems.append(Problem(f"{where}{message}", place.line, place.column, self.file))

    def routine(self, routine: Routine) -> None:
        names = {parameter.name for parameter in routine.parameters}
        for parameter in routine.parameters:
            if parameter.default is not None:
                self.value(parameter.default, _Scope(set()), f"default of '{parameter.name}'")
        scope = _Scope(names | assigned(routine.steps), before=set(names))
        self.steps(routine.steps, scope)

    # --- steps ------------------------------------------------------------------------------------

    def steps(self, steps: list[Step], scope: _Scope) -> None:
        reach = frozenset(step.name for step in steps) | scope.steps
        here = replace(scope, steps=reach)
        for step in steps:
            self.step = step.name
            self._step(step, here)
            self.step = step.name
            self._jump(step.next, step.next_place or step.place, here)

    def _step(self, step: Step, scope: _Scope) -> None:
        match step:
            case Assign():
                self._assign(step, scope)
            case CallStep():
                self._call(step, scope)
            case Switch():
                self._switch(step, scope)
            case For():
                self._loop(step.loop, scope, "loop")
            case Parallel():
                self._parallel(step, scope)
            case Try():
                self._try(step, scope)
            case Raise():
                self.value(step.value, scope, "raise value")
            case Return():
                self.value(step.value, scope, "return value")
                if scope.branch:
                    self.problem("a parallel branch cannot return from the workflow", step.place)
            case _:
                for inner in same_scope(step):
                    self.steps(inner, scope)

    def _jump(self, target: str | None, place: Place, scope: _Scope) -> None:
        if target is None:
            return
        if target not in _KEYWORDS:
            if target not in scope.steps:
                self.problem(f"next step '{target}' is not defined in this list or one around it", place)
            return
        if target == "end" and scope.branch:
            self.problem("a parallel branch cannot end the workflow", place)
        if target in ("break", "continue") and scope.loop is None:
            self.problem(f"'{target}' outside of a for loop", place)
        if target == "break" and scope.loop == "parallel":
            self.problem("'break' cannot leave a parallel loop", place)

    def _assign(self, step: Assign, scope: _Scope) -> None:
        for target, value, place in step.assignments:
            name = root_name(target)
            self.value(value, scope, f"value of '{name}'")
            self._target(target, place, scope)
            self._write(name, place, scope)

    def _target(self, target: Target, place: Place, scope: _Scope) -> None:
        node = target
        while isinstance(node, Index | Member):
            if isinstance(node, Index):
                self._expression(Computed(node.index, place), scope, "assignment target")
            node = node.value  # type: ignore[assignment]

    def _write(self, name: str, place: Place, scope: _Scope) -> None:
        if name in scope.frozen:
            self.problem(
                f"variable '{name}' of the parent scope is assigned in a parallel branch; list it in 'shared'", place
            )
        scope.before.add(name)

    def _call(self, step: CallStep, scope: _Scope) -> None:
        for name, value in step.arguments.items():
            self.value(value, scope, f"argument '{name}'")
        for value in (step.argument_map, *(step.positional or ())):
            if value is not None:
                self.value(value, scope, "args")
        for message, place in self.signatures.call_step(step):
            self.problem(message, place)
        if step.result is not None:
            self._write(step.result, step.result_place or step.place, scope)

    def _switch(self, step: Switch, scope: _Scope) -> None:
        for case in step.cases:
            self.step = step.name
            self.value(case.condition, scope, "condition")
            self.steps(case.steps, scope)
            self.step = step.name
            self._jump(case.next, case.next_place or case.place, scope)

    def _loop(self, loop: Loop, scope: _Scope, kind: str) -> None:
        for part in loop.values():
            self.value(part, scope, "for loop")
        variables = {name for name in (loop.value, loop.index) if name}
        for name in sorted(variables & scope.names):
            self.problem(f"loop variable '{name}' is also a variable outside of the loop", loop.place)
        self.steps(loop.steps, replace(scope.inner(variables, loop.steps), loop=kind))

    def _parallel(self, step: Parallel, scope: _Scope) -> None:
        if step.concurrency_limit is not None:
            self.value(step.concurrency_limit, scope, "concurrency_limit")
        shared = self._shared(step, scope)
        frozen = frozenset(scope.before) - shared | scope.frozen
        branch = replace(scope, frozen=frozen, steps=frozenset(), loop=None, branch=True)
        for part in step.branches:
            names = scope.names | assigned(part.steps)
            self.steps(part.steps, replace(branch, names=names, before=set(scope.before)))
        if step.loop is not None:
            self._loop(step.loop, replace(branch, before=set(scope.before)), "parallel")

    def _shared(self, step: Parallel, scope: _Scope) -> set[str]:
        shared = set()
        for name, place in step.shared:
            if name not in scope.names:
                self.problem(f"shared variable '{name}' is not defined in the parent scope", place)
            elif name in scope.frozen:
                self.problem(f"shared variable '{name}' is not shared by the parallel step around", place)
            shared.add(name)
        return shared

    def _try(self, step: Try, scope: _Scope) -> None:
        self.steps(step.steps, scope)
        self.step = step.name
        if step.retry is not None:
            self._retry(step.retry, scope)
        handler = step.handler
        if handler is None:
            return
        variables = {handler.variable} if handler.variable else set()
        self.steps(handler.steps, scope.inner(variables, handler.steps))

    def _retry(self, retry: Retry, scope: _Scope) -> None:
        for value in retry.values():
            self.value(value, scope, "retry policy")
        predicate = retry.predicate
        if isinstance(predicate, Constant) and predicate.value is not None:
            self.problem("'predicate' must be an expression such as ${http.default_retry_predicate}", predicate.place)

    # --- values -----------------------------------------------------------------------------------

    def value(self, value: Value, scope: _Scope, what: str) -> None:
        """Check every expression of a value."""
        for part in expressions(value):
            self._expression(part, scope, what)

    def _expression(self, value: Computed, scope: _Scope, what: str) -> None:
        symbols = Symbols(scope.names, self.signatures)
        for message in symbols.problems(value.expression):
            self.problem(f"error evaluating {what}: {message}", value.place)
