"""`sys`: environment, time, log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import choices
from ..errors import key_error, value_error
from . import expecting
from .table import BLOCKING, CONTEXTUAL, LibraryFunction, declare
from .times import seconds_of

if TYPE_CHECKING:
    from ..scope import Execution, Frame

SEVERITIES = (
    "DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY",
)  # fmt: skip


def get_env(execution: Execution, name: Any, default_value: Any = None, default: Any = None) -> Any:
    """A built-in variable, or one of the workflow's own."""
    variables = execution.variables
    key = expecting.string("sys.get_env", "name", name)
    if key in variables:
        return variables[key]
    fallback = default if default_value is None else default_value
    if fallback is None and choices.GET_ENV_MISSING_RAISES:
        raise key_error(key)
    return fallback


def now(execution: Execution) -> float:
    """Seconds since 1970."""
    return execution.runtime.clock.now()


async def sleep(frame: Frame, seconds: Any) -> None:
    """Wait that many seconds."""
    duration = expecting.number("sys.sleep", "seconds", seconds)
    if duration < 0:
        raise value_error("sys.sleep: argument 'seconds' must not be negative")
    await frame.execution.runtime.clock.sleep(duration)


async def sleep_until(frame: Frame, time: Any) -> None:
    """Wait until an RFC 3339 time."""
    moment = seconds_of(expecting.string("sys.sleep_until", "time", time), "sys.sleep_until")
    clock = frame.execution.runtime.clock
    await clock.sleep(max(0.0, moment - clock.now()))


async def log(
    frame: Frame,
    data: Any = None,
    severity: Any = "DEFAULT",
    text: Any = None,
    json: Any = None,
    timeout: Any = None,
) -> None:
    """Write to the execution's log."""
    level = expecting.string("sys.log", "severity", severity or "DEFAULT")
    if level not in SEVERITIES:
        raise value_error(f"sys.log: unknown severity '{level}', expecting one of {', '.join(SEVERITIES)}")
    if json is not None:
        expecting.mapping("sys.log", "json", json)
    if timeout is not None:
        expecting.number("sys.log", "timeout", timeout)
    content = next((value for value in (json, data, text) if value is not None), None)
    frame.execution.log(frame, level, content)


FUNCTIONS: list[LibraryFunction] = [
    *declare("sys", {"get_env": ("name default_value? default?", get_env), "now": ("", now)}, CONTEXTUAL),
    *declare(
        "sys",
        {
            "sleep": ("seconds", sleep),
            "sleep_until": ("time", sleep_until),
            "log": ("data? severity? text? json? timeout?", log),
        },
        BLOCKING,
    ),
]
