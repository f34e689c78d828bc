"""Times and durations in nanoseconds, and their JSON forms."""

import re
from datetime import datetime
from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2

NANOS = 1_000_000_000
_Timestamp: Any = vars(timestamp_pb2)["Timestamp"]
_Duration: Any = vars(duration_pb2)["Duration"]
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?\s*([Zz]|[+-]\d\d:\d\d)?)?",
)
_DURATION = re.compile(r"(\d+)(?:\.(\d{1,9}))?s?")


def timestamp(nanos: int) -> Any:
    """The nanoseconds since 1970 as a google.protobuf.Timestamp."""
    message = _Timestamp()
    message.FromNanoseconds(nanos)
    return message


def rfc3339(nanos: int) -> str:
    """`2026-01-02T03:04:05.123456789Z`, with 0, 3, 6 or 9 fractional digits, as protobuf's JSON has it."""
    return str(timestamp(nanos).ToJsonString())


def duration(nanos: int) -> str:
    """`3.500s`."""
    message = _Duration()
    message.FromNanoseconds(nanos)
    return str(message.ToJsonString())


def parse_time(text: str) -> int:
    """An RFC 3339 time, or a date alone (midnight UTC), as nanoseconds.

    Raises:
        ValueError: `text` is neither.
    """
    match = _RFC3339.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{zone}")
    return int(moment.timestamp()) * NANOS + int((fraction or "0").ljust(9, "0"))


def parse_duration(text: str) -> int:
    """`3.5s` (the `s` is optional) as nanoseconds.

    Raises:
        ValueError: `text` is not a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration in seconds such as 3.5s")
    return int(match[1]) * NANOS + int((match[2] or "0").ljust(9, "0"))
