"""Google Cloud Workflows' language: `load` a source, then `execute` it; a bad source raises `WorkflowSyntaxError`."""

from emulator.workflows.errors import ExecutionError, Problem, StackTraceElement, WorkflowSyntaxError
from emulator.workflows.runtime.callbacks import Callback, CallbackRegistry
from emulator.workflows.runtime.clock import Clock, SystemClock
from emulator.workflows.runtime.environment import Environment
from emulator.workflows.runtime.observer import Observer, StepEntry
from emulator.workflows.runtime.outcome import Outcome
from emulator.workflows.runtime.runtime import Runtime
from emulator.workflows.workflow import Workflow, load

__all__ = [
    "Callback",
    "CallbackRegistry",
    "Clock",
    "Environment",
    "ExecutionError",
    "Observer",
    "Outcome",
    "Problem",
    "Runtime",
    "StackTraceElement",
    "StepEntry",
    "SystemClock",
    "Workflow",
    "WorkflowSyntaxError",
    "load",
]
