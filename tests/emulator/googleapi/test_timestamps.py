import pytest

from emulator.googleapi.timestamps import duration, parse_duration, parse_time, rfc3339


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.500Z"),
        (1_000_001_000, "1970-01-01T00:00:01.000001Z"),
        (1_767_225_600_123_456_789, "2026-01-01T00:00:00.123456789Z"),
    ],
)
def test_times_round_trip(nanos, text):
    assert rfc3339(nanos) == text
    assert parse_time(text) == nanos


def test_time_with_an_offset_and_date_alone():
    assert parse_time("2026-01-01T01:00:00+01:00") == parse_time("2026-01-01")


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "2026-01-01T25:00:00Z", "12:00"])
def test_invalid_times(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


@pytest.mark.parametrize(
    ("nanos", "text"), [(3_500_000_000, "3.500s"), (0, "0s"), (95_829_379, "0.095829379s"), (60 * 10**9, "60s")]
)
def test_durations_round_trip(nanos, text):
    assert duration(nanos) == text
    assert parse_duration(text) == nanos
