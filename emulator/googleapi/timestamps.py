"""Times and durations in nanoseconds, and their JSON forms."""

import re
from datetime import UTC, datetime

NANOS = 1_000_000_000
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?\s*([Zz]|[+-]\d\d:\d\d)?)?",
)
_DURATION = re.compile(r"(\d+)(?:\.(\d{1,9}))?s?")


def rfc3339(nanos: int) -> str:
    """``2026-01-02T03:04:05.123456789Z``, with 0, 3, 6 or 9 digits as protobuf's JSON has it."""
    seconds, rest = divmod(nanos, NANOS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{_fraction(rest)}Z"


def duration(nanos: int) -> str:
    """``3.500s``."""
    seconds, rest = divmod(nanos, NANOS)
    return f"{seconds}{_fraction(rest)}s"


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    digits = f"{nanos:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return "." + digits


def parse_time(text: str) -> int:
    """RFC 3339, or a date alone (midnight UTC), as nanoseconds.

    Raises:
        ValueError: it is neither.
    """
    match = _RFC3339.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no RFC 3339 time")
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{zone}")
    return int(moment.timestamp()) * NANOS + int((fraction or "0").ljust(9, "0"))


def parse_duration(text: str) -> int:
    """``3.5s`` (the ``s`` may be missing) as nanoseconds.

    Raises:
        ValueError: it is no duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no duration in seconds such as 3.5s")
    return int(match[1]) * NANOS + int((match[2] or "0").ljust(9, "0"))
