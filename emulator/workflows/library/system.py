"""`sys`: environment, time, log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.workflows import choices, limits
from emulator.workflows.errors import key_error, type_error, value_error
from emulator.workflows.library import expecting
from emulator.workflows.library.table import BLOCKING, CONTEXTUAL, LibraryFunction, declare
from emulator.workflows.library.times import seconds_of
from emulator.workflows.values import shown_type

if TYPE_CHECKING:
    from emulator.workflows.runtime.scope import Execution, Frame

SEVERITIES = (
    "DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY",
)  # fmt: skip
_LOGGABLE = (int, float, bool, str, list, dict)


def get_env(execution: Execution, name: Any, default_value: Any = None, default: Any = None) -> Any:
    """A built-in variable, or one of the workflow's own."""
    variables = execution.variables
    key = expecting.string("sys.get_env", "name", name)
    fallback = default if default_value is None else default_value
    if fallback is not None:
        expecting.string("sys.get_env", "default", fallback)
    if key in variables:
        return variables[key]
    if fallback is None and choices.GET_ENV_MISSING_RAISES:
        raise key_error(key)
    return fallback


def now(execution: Execution) -> float:
    """Seconds since 1970."""
    return execution.runtime.clock.now()


async def sleep(frame: Frame, seconds: Any) -> None:
    """Wait that many seconds."""
    duration = expecting.number("sys.sleep", "seconds", seconds)
    if not 0 <= duration <= limits.SLEEP_S:
        raise value_error(f"sys.sleep: argument 'seconds' must be between 0 and {limits.SLEEP_S}")
    await frame.execution.runtime.clock.sleep(duration)


async def sleep_until(frame: Frame, time: Any) -> None:
    """Wait until an RFC 3339 time."""
    moment = seconds_of(expecting.string("sys.sleep_until", "time", time), "sys.sleep_until")
    clock = frame.execution.runtime.clock
    duration = moment - clock.now()
    if duration > limits.SLEEP_S:
        raise value_error("sys.sleep_until: argument 'time' must be within a year from now")
    await clock.sleep(max(0.0, duration))


async def log(
    frame: Frame,
    data: Any = None,
    severity: Any = "DEFAULT",
    text: Any = None,
    json: Any = None,
    timeout: Any = None,
) -> None:
    """Write one of `data`, `text` and `json` to the execution's log."""
    level = expecting.string("sys.log", "severity", severity or "DEFAULT")
    if level not in SEVERITIES:
        raise value_error(f"sys.log: unknown severity '{level}', expecting one of {', '.join(SEVERITIES)}")
    if json is not None:
        expecting.mapping("sys.log", "json", json)
    if timeout is not None:
        expecting.number("sys.log", "timeout", timeout)
    contents = [value for value in (data, text, json) if value is not None]
    if len(contents) != 1:
        raise type_error("sys.log: exactly one of the arguments 'data', 'text' and 'json' must be specified")
    if type(contents[0]) not in _LOGGABLE:
        raise type_error(f"sys.log: cannot log {shown_type(contents[0])}")
    frame.execution.log(frame, level, contents[0])


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
