"""When schedules are due, across time zones and changes to daylight saving."""

from datetime import datetime

import pytest

from emulator.stack.cron import is_time_zone, next_time, schedule_problem


def after(schedule: str, zone: str, moment: str) -> str:
    due = next_time(schedule, zone, datetime.fromisoformat(moment).timestamp())
    assert due is not None
    return datetime.fromtimestamp(due).astimezone().astimezone(datetime.fromisoformat(moment).tzinfo).isoformat()


@pytest.mark.parametrize(
    ("schedule", "zone", "moment", "due"),
    [
        ("*/15 * * * *", "Etc/UTC", "2026-01-01T10:07:00+00:00", "2026-01-01T10:15:00+00:00"),
        ("*/15 * * * *", "Etc/UTC", "2026-01-01T10:15:00+00:00", "2026-01-01T10:30:00+00:00"),
        ("0 8 * * MON-FRI", "Europe/Berlin", "2026-01-02T12:00:00+00:00", "2026-01-05T07:00:00+00:00"),
        ("0 8 * * *", "Europe/Berlin", "2026-07-01T07:00:00+00:00", "2026-07-02T06:00:00+00:00"),
        ("0 0 1 * *", "America/New_York", "2026-02-01T00:00:00+00:00", "2026-02-01T05:00:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00+00:00", "2026-03-29T01:00:00+00:00"),  # 2:30 is skipped
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00+00:00", "2026-10-25T00:30:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"),  # 2:30 comes twice
        ("0 0 29 2 *", "Etc/UTC", "2026-03-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
    ],
)
def test_the_next_time(schedule: str, zone: str, moment: str, due: str) -> None:
    assert after(schedule, zone, moment) == due


@pytest.mark.parametrize(
    "schedule", ["", "* * * *", "0 * * * * *", "60 * * * *", "* * 31 2 *", "every 5 minutes", "*/0 * * * *"]
)
def test_what_is_not_a_schedule_is_explained(schedule: str) -> None:
    problem = schedule_problem(schedule)
    assert problem is not None
    assert problem.startswith("not a cron schedule")


def test_time_zones() -> None:
    assert is_time_zone("Asia/Kolkata")
    assert not is_time_zone("Berlin")
    assert not is_time_zone("../etc/passwd")
