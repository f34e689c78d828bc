"""`sys`: environment, time, log."""

from typing import Any

from emulator.workflows import assumptions, limits
from emulator.workflows.errors import key_error, type_error, value_error
from emulator.workflows.library.builtin import declare
from emulator.workflows.library.time import seconds_of
from emulator.workflows.runtime.execution import Execution, Frame
from emulator.workflows.values import shown_type

SEVERITIES = (
    "DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY",
)  # fmt: skip
_LOGGABLE = (int, float, bool, str, list, dict)


def get_env(execution: Execution, name: str, default_value: str | None = None, default: str | None = None) -> Any:
    """A built-in or user-defined environment variable."""
    if name in execution.variables:
        return execution.variables[name]
    fallback = default if default_value is None else default_value
    if fallback is None and assumptions.GET_ENV_MISSING_RAISES:
        raise key_error(name)
    return fallback


def now(execution: Execution) -> float:
    """Seconds since 1970."""
    return execution.runtime.clock.now()


async def sleep(frame: Frame, seconds: float) -> None:
    if not 0 <= seconds <= limits.SLEEP_S:
        raise value_error(f"sys.sleep: argument 'seconds' must be between 0 and {limits.SLEEP_S}")
    await frame.execution.runtime.clock.sleep(seconds)


async def sleep_until(frame: Frame, time: str) -> None:
    clock = frame.execution.runtime.clock
    duration = seconds_of(time, "sys.sleep_until") - clock.now()
    if duration > limits.SLEEP_S:
        raise value_error("sys.sleep_until: argument 'time' must be within a year from now")
    await clock.sleep(max(0.0, duration))


async def log(
    frame: Frame,
    data: Any = None,
    severity: str | None = "DEFAULT",
    text: Any = None,
    json: dict[str, Any] | None = None,
    timeout: float | None = None,  # noqa: ARG001 - Google's signature has it; nothing here takes time
) -> None:
    """Write one of `data`, `text` and `json` to the execution's log."""
    level = severity or "DEFAULT"
    if level not in SEVERITIES:
        raise value_error(f"sys.log: unknown severity '{level}', expecting one of {', '.join(SEVERITIES)}")
    contents = [value for value in (data, text, json) if value is not None]
    if len(contents) != 1:
        raise type_error("sys.log: exactly one of the arguments 'data', 'text' and 'json' must be specified")
    if type(contents[0]) not in _LOGGABLE:
        raise type_error(f"sys.log: cannot log {shown_type(contents[0])}")
    frame.execution.log(frame, level, contents[0])


FUNCTIONS = declare("sys", {"get_env": get_env, "now": now, "sleep": sleep, "sleep_until": sleep_until, "log": log})
