"""`time`: seconds to ISO 8601 and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import value_error
from . import expecting
from .table import declare

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = 1_000_000


def format_time(seconds: Any, timezone: Any = "GMT") -> str:
    """Seconds since 1970 as ISO 8601 in a time zone of the TZ database."""
    number = expecting.number("time.format", "seconds", seconds)
    name = expecting.string("time.format", "timezone", timezone)
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise value_error(f"time.format: unknown time zone '{name}'") from None
    try:
        moment = (_EPOCH + timedelta(microseconds=round(number * _MICRO))).astimezone(zone)
    except (OverflowError, ValueError):
        raise value_error("time.format: time out of range") from None
    return rfc3339(moment)


def rfc3339(moment: datetime) -> str:
    """A moment with its zone, to the microsecond; `Z` for no offset."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0")
    offset = moment.utcoffset()
    if not offset:
        return text + "Z"
    sign, minutes = ("-" if offset < timedelta(0) else "+"), abs(int(offset.total_seconds())) // 60
    return f"{text}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def parse_time(value: Any) -> float:
    """Seconds since 1970 of an ISO 8601 time; without an offset it is UTC."""
    text = expecting.string("time.parse", "value", value)
    return seconds_of(text, "time.parse")


def seconds_of(text: str, function: str) -> float:
    """Seconds since 1970 of an ISO 8601 time, for whichever function asks."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise value_error(f"{function}: '{text}' is no ISO 8601 time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) / timedelta(microseconds=1) / _MICRO


FUNCTIONS = declare("time", {"format": ("seconds timezone?", format_time), "parse": ("value", parse_time)})
