"""Clocks, and moments as the pipeline writes and reads them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def timestamp() -> str:
    """The current time in RFC 3339, UTC, with milliseconds."""
    return utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """Reads an ISO 8601 time, in UTC unless it says otherwise. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def seconds(text: str) -> int:
    """The seconds of a duration such as 90, 90s, 15m, 1h or 1d. Raises ValueError."""
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration.")
    return int(match[1]) * UNITS[match[2]]
