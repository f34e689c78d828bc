"""Types of options: durations, times, and NAME=VALUE."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _UNITS[match[2] or "s"] if match else None


class Duration(click.ParamType[float]):
    """Seconds, written as `90`, `90s`, `5m`, `1h`, `2d` or `1w`."""

    name = "duration"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        seconds = _seconds(str(value))
        if seconds is None:
            self.fail(f"{value!r} is no duration; write 90s, 5m, 1h or 2d.", parameter, context)
        return seconds


class Moment(click.ParamType[datetime]):
    """A time in the past: a duration before now, or RFC 3339; without a zone it is local time."""

    name = "time"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        seconds = _seconds(str(value))
        try:
            if seconds is not None:
                return datetime.now(UTC) - timedelta(seconds=seconds)
            return datetime.fromisoformat(str(value)).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 1h, 2d or 2026-01-31T12:00:00Z.", parameter, context)


class Pair(click.ParamType[tuple[str, Any]]):
    """`NAME=VALUE`; the value is read as JSON if it is a number, true, false or a list, and is a text otherwise."""

    name = "NAME=VALUE"

    def __init__(self, *, typed: bool) -> None:
        self._typed = typed

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} must be NAME=VALUE, such as top_k=1.", parameter, context)
        return name, _typed(text) if self._typed else text


def _typed(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | list) else text


DURATION, MOMENT = Duration(), Moment()
PARAMETER, METADATA = Pair(typed=True), Pair(typed=False)
