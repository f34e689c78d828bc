"""Moments as the pipeline writes and reads them."""

import re
from datetime import UTC, datetime

import pytest

from pipeline import times


def test_a_timestamp_is_rfc_3339_in_utc_with_milliseconds() -> None:
    before = times.utc_now()
    text = times.timestamp()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert abs((times.parse(text) - before).total_seconds()) < 60


@pytest.mark.parametrize("text", ["2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00", "2026-01-01T12:00:00"])
def test_a_time_without_an_offset_is_utc(text: str) -> None:
    assert times.parse(text) == datetime(2026, 1, 1, 12, tzinfo=UTC)
