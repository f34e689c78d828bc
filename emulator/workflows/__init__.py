"""The Workflows language: `load` a source, `execute` it; problems come as `WorkflowSyntaxError`."""

from emulator.workflows.runtime.callbacks import Callback, CallbackRegistry
from emulator.workflows.runtime.clock import Clock, SystemClock
from emulator.workflows.runtime.environment import Environment, Outcome
from emulator.workflows.runtime.observer import Observer, StepEntry
from emulator.workflows.runtime.runtime import Runtime

from .errors import ExecutionError, Frame, Problem, WorkflowSyntaxError
from .workflow import Workflow, load

__all__ = [
    "Callback",
    "CallbackRegistry",
    "Clock",
    "Environment",
    "ExecutionError",
    "Frame",
    "Observer",
    "Outcome",
    "Problem",
    "Runtime",
    "StepEntry",
    "SystemClock",
    "Workflow",
    "WorkflowSyntaxError",
    "load",
]
