"""`time`: seconds since 1970 to ISO 8601 and back."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from emulator.workflows.errors import value_error
from emulator.workflows.library.builtin import declare

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = 1_000_000
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)


def format_time(seconds: float, timezone: str = "GMT") -> str:
    """ISO 8601 in a time zone of the TZ database."""
    try:
        zone = ZoneInfo(timezone or "GMT")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise value_error(f"time.format: unknown time zone '{timezone}'") from None
    try:
        moment = (_EPOCH + timedelta(microseconds=round(seconds * _MICRO))).astimezone(zone)
    except (OverflowError, ValueError):
        raise value_error("time.format: time out of range") from None
    return rfc3339(moment)


def rfc3339(moment: datetime) -> str:
    """To the microsecond; `Z` for no offset."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0")
    offset = moment.utcoffset()
    if not offset:
        return text + "Z"
    sign, minutes = ("-" if offset < timedelta(0) else "+"), abs(int(offset.total_seconds())) // 60
    return f"{text}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def parse_time(value: str) -> float:
    """Seconds since 1970 of an RFC 3339 time: date, time and offset are all required."""
    if not _RFC3339.match(value):
        raise value_error(f"time.parse: '{value}' is not an RFC 3339 time")
    return seconds_of(value, "time.parse")


def seconds_of(text: str, function: str) -> float:
    """Seconds since 1970 of an ISO 8601 time, in UTC unless it has an offset; errors begin with `function`."""
    try:
        moment = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise value_error(f"{function}: '{text}' is not an ISO 8601 time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) / timedelta(microseconds=1) / _MICRO


FUNCTIONS = declare("time", {"format": format_time, "parse": parse_time})
