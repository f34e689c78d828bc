"""The Workflows language: `load` a source, `execute` it; problems come as `WorkflowSyntaxError`."""

from .callbacks import Callback, CallbackRegistry
from .clock import Clock, SystemClock
from .environment import Environment, Outcome
from .errors import ExecutionError, Frame, Problem, WorkflowSyntaxError
from .observer import Observer, StepEntry
from .runtime import Runtime
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
