"""One run of a workflow, and the calls of its routines."""

from collections.abc import Callable
from typing import Any

from emulator.workflows import limits
from emulator.workflows.errors import RaisedError, StackTraceElement, failure, limit_error
from emulator.workflows.runtime.environment import Environment
from emulator.workflows.runtime.observer import FAILED, SUCCEEDED, Observer, StepEntry
from emulator.workflows.runtime.runtime import Runtime
from emulator.workflows.syntax.steps import Place


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
        """Account for memory taken (or released, when negative)."""
        self.memory += amount
        if self.memory > limits.MEMORY_BYTES:
            raise limit_error("Memory usage limit exceeded")

    def count_step(self) -> None:
        """Account for one step."""
        self.steps += 1
        if self.steps > limits.STEPS:
            raise limit_error(f"Step limit exceeded: more than {limits.STEPS} steps")

    def log(self, frame: "Frame", severity: str, content: Any, kind: str = "log") -> None:
        """Write an entry to the runtime's log sink."""
        self.runtime.log_sink(
            {
                "kind": kind,
                "severity": severity,
                "execution": self.environment.execution_name,
                "account": self.environment.service_account,
                "step": frame.step,
                "routine": frame.routine,
                "content": content,
            }
        )


class Frame:
    """One call of a routine. Each parallel branch runs in a fork of it."""

    __slots__ = ("depth", "entry", "execution", "parallel", "routine", "step")

    def __init__(self, execution: Execution, routine: str, depth: int, parallel: int = 0) -> None:
        self.execution = execution
        self.routine = routine
        self.depth = depth
        self.parallel = parallel
        self.step = ""
        self.entry: StepEntry | None = None

    def call(self, routine: str) -> "Frame":
        """The frame of a routine called from this one."""
        if self.depth >= limits.CALL_DEPTH:
            raise failure("RecursionError", f"call stack is deeper than {limits.CALL_DEPTH}")
        frame = Frame(self.execution, routine, self.depth + 1, self.parallel)
        frame.entry = self.entry
        return frame

    def fork(self) -> "Frame":
        """The frame of a parallel branch."""
        if self.parallel >= limits.PARALLEL_DEPTH:
            raise failure("ParallelNestingError", f"parallel steps nested deeper than {limits.PARALLEL_DEPTH}")
        frame = Frame(self.execution, self.routine, self.depth, self.parallel + 1)
        frame.entry, frame.step = self.entry, self.step
        return frame

    def blame(self, error: RaisedError, step: str, place: Place) -> None:
        """Add the innermost failed step of this call to the error's stack trace, once."""
        if error.blamed_in is not self:
            error.blamed_in = self
            error.stack_trace.append(StackTraceElement(step, self.routine, place.line, place.column, place.length))

    def begin(
        self, step: str, step_type: str, place: Place, progress: int | str | None = None, expected: int | None = None
    ) -> StepEntry | None:
        """Tell the observer, if there is one, that a step or a part of one begins."""
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

    def end(
        self, entry: StepEntry | None, visible: Callable[[], dict[str, Any]], error: BaseException | None = None
    ) -> None:
        """Tell the observer that the step, or its part, has ended; `visible` returns the variables in scope."""
        observer = self.execution.observer
        if entry is None or observer is None:
            return
        entry.state = SUCCEEDED if error is None else FAILED
        if isinstance(error, RaisedError):
            entry.exception = error.value
        if observer.wants_variables:
            entry.variables = visible()
        self.entry = entry.parent
        observer.step_ended(entry)
