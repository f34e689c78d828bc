"""Variables, calls and the execution that they belong to."""

from __future__ import annotations

from typing import Any

from emulator.workflows import limits
from emulator.workflows.errors import Frame as TraceFrame
from emulator.workflows.errors import RaisedError, failure, limit_error
from emulator.workflows.runtime.environment import Environment
from emulator.workflows.runtime.observer import FAILED, SUCCEEDED, Observer, StepEntry
from emulator.workflows.runtime.runtime import Runtime
from emulator.workflows.syntax.program import Place
from emulator.workflows.values import size


class Execution:
    """One run of a workflow: its counters, limits, environment and observer."""

    __slots__ = ("entries", "environment", "memory", "observer", "runtime", "steps", "variables")

    def __init__(self, environment: Environment, runtime: Runtime, observer: Observer | None) -> None:
        self.environment = environment
        self.variables = environment.values()
        self.runtime = runtime
        self.observer = observer
        self.steps = 0
        self.memory = 0
        self.entries = 0

    def charge(self, amount: int) -> None:
        """Account for memory taken (or given back, when negative)."""
        self.memory += amount
        if self.memory > limits.MEMORY_BYTES:
            raise limit_error("Memory usage limit exceeded")

    def count_step(self) -> None:
        """Account for one step."""
        self.steps += 1
        if self.steps > limits.STEPS:
            raise limit_error(f"Step limit exceeded: more than {limits.STEPS} steps")

    def log(self, frame: Frame, severity: str, content: Any, kind: str = "log") -> None:
        """Write an entry to the runtime's log sink."""
        self.runtime.log_sink(
            {
                "kind": kind,
                "severity": severity,
                "execution": self.environment.execution_name,
                "step": frame.step,
                "routine": frame.routine,
                "content": content,
            }
        )


class Frame:
    """One call of a routine. A parallel branch runs in a fork of its own."""

    __slots__ = ("depth", "entry", "execution", "parallel", "routine", "step")

    def __init__(self, execution: Execution, routine: str, depth: int, parallel: int = 0) -> None:
        self.execution = execution
        self.routine = routine
        self.depth = depth
        self.parallel = parallel
        self.step = ""
        self.entry: StepEntry | None = None

    def call(self, routine: str) -> Frame:
        """The frame of a routine that is called from here."""
        if self.depth >= limits.CALL_DEPTH:
            raise failure("RecursionError", f"call stack is deeper than {limits.CALL_DEPTH}")
        frame = Frame(self.execution, routine, self.depth + 1, self.parallel)
        frame.entry = self.entry
        return frame

    def fork(self) -> Frame:
        """The frame of a branch."""
        if self.parallel >= limits.PARALLEL_DEPTH:
            raise failure("ParallelNestingError", f"parallel steps nested deeper than {limits.PARALLEL_DEPTH}")
        frame = Frame(self.execution, self.routine, self.depth, self.parallel + 1)
        frame.entry, frame.step = self.entry, self.step
        return frame

    def blame(self, error: RaisedError, step: str, place: Place) -> None:
        """Note the step that an error comes from: the innermost one of this call."""
        if error.claimed_by is not self:
            error.claimed_by = self
            error.frames.append(TraceFrame(step, self.routine, place.line, place.column, place.length))

    def begin(
        self, step: str, step_type: str, place: Place, progress: int | str | None = None, expected: int | None = None
    ) -> StepEntry | None:
        """Tell the observer, if there is one, that a step or one of its parts begins."""
        execution = self.execution
        if execution.observer is None:
            return None
        execution.entries += 1
        self.entry = StepEntry(
            execution.entries, self.routine, step, step_type, place.line, self.entry,
            progress=progress, expected=expected,
        )  # fmt: skip
        execution.observer.step_started(self.entry)
        return self.entry

    def end(self, entry: StepEntry | None, error: BaseException | None = None) -> None:
        """Tell the observer that it has ended."""
        observer = self.execution.observer
        if entry is None or observer is None:
            return
        entry.state = SUCCEEDED if error is None else FAILED
        if isinstance(error, RaisedError):
            entry.exception = error.value
        self.entry = entry.parent
        observer.step_ended(entry)


class Scope:
    """Names to values, with the scope around it. Values are never changed in place, so they can be shared.

    `shared` is None but for a branch of a parallel step: there it holds the names that may be written
    outside.
    """

    __slots__ = ("frame", "parent", "shared", "sizes", "variables")

    def __init__(self, frame: Frame, parent: Scope | None = None, shared: frozenset[str] | None = None) -> None:
        self.frame = frame
        self.parent = parent
        self.shared = shared
        self.variables: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}

    def read(self, name: str) -> Any:
        """The value of a variable; null when it was declared but never assigned on the way here."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.parent
        return None

    def owner(self, name: str) -> Scope:
        """The scope that an assignment writes to: where the name is known, else this one.

        A shared name that nobody has assigned yet belongs to the outside of the parallel step.
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
        """Store a value where the name is known."""
        self.owner(name).store(name, value, size(value))

    def declare(self, name: str, value: Any) -> None:
        """Store a value here, whatever the scopes around know."""
        self.store(name, value, size(value))

    def store(self, name: str, value: Any, amount: int) -> None:
        """Store a value of known size here."""
        self.frame.execution.charge(amount - self.sizes.get(name, 0))
        self.variables[name] = value
        self.sizes[name] = amount

    def drop(self) -> None:
        """Give the memory back when the scope ends."""
        self.frame.execution.memory -= sum(self.sizes.values())
