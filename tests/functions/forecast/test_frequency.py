"""Frequencies: inferred from dates, requested by callers, and continued into the future."""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RejectedError

sys.path.insert(0, str(Path(__file__).parents[3] / "functions" / "forecast"))  # as the framework does for main.py
from forecasting import spacing
from forecasting.frequency import Frequency

PANDAS = [
    # pandas' name for the dates, start, count, our alias, season
    ("D", "2024-01-03", 20, "D", 7),
    ("2D", "2024-01-03", 20, "2D", 4),
    ("B", "2024-01-03", 20, "B", 5),
    ("W-MON", "2024-01-01", 20, "W-MON", 52),
    ("W-SUN", "2024-01-01", 20, "W-SUN", 52),
    ("14D", "2024-01-01", 20, "14D", 26),
    ("MS", "2024-01-01", 20, "MS", 12),
    ("ME", "2024-01-01", 20, "ME", 12),
    ("BME", "2024-01-01", 20, "BME", 12),
    ("BMS", "2024-01-01", 20, "BMS", 12),
    ("2MS", "2024-01-01", 20, "2MS", 6),
    ("QS", "2024-01-01", 12, "QS-JAN", 4),
    ("QS-FEB", "2024-01-01", 12, "QS-FEB", 4),
    ("QE", "2024-01-01", 12, "QE-DEC", 4),
    ("YS", "2010-01-01", 12, "YS-JAN", 1),
    ("YE", "2010-01-01", 12, "YE-DEC", 1),
    ("YS-JUL", "2010-01-01", 12, "YS-JUL", 1),
    ("h", "2024-01-01 05:00", 60, "h", 24),
    ("6h", "2024-01-01", 60, "6h", 4),
    ("7h", "2024-01-01", 60, "7h", 3),
    ("min", "2024-01-01", 60, "min", 1440),
    ("15min", "2024-01-01", 300, "15min", 96),
    ("30s", "2024-01-01", 60, "30s", 2880),
]


FIRST = [3, 1, 1, 3, 2, 1, 3, 1, 1, 2, 1, 1, 2, 1, 1, 1, 2, 3, 1, 1, 3, 1, 1, 2]
LAST = [31, 28, 31, 28, 31, 30, 31, 31, 29, 31, 30, 28, 31, 29, 28, 30, 31, 28, 31, 30, 30, 31, 29, 30]
TRADING = [
    # the day of each month, of 2023 and 2024, our alias, the next two days
    (FIRST, "BMS", ["2025-01-01", "2025-02-03"]),
    (LAST, "BME", ["2025-01-31", "2025-02-28"]),
    ([13, 14, 15, 16, 17, 15] * 4, "M", ["2025-01-15", "2025-02-15"]),
]


@pytest.mark.parametrize(("days", "alias", "following"), TRADING, ids=["first", "last", "middle"])
def test_one_stamp_a_month_is_monthly(days: list[int], alias: str, following: list[str]) -> None:
    every = [datetime(2023 + index // 12, index % 12 + 1, day) for index, day in enumerate(days)]
    frequency = spacing.infer(every)
    assert (frequency.alias, frequency.words) == (alias, "monthly")
    assert [stamp.date().isoformat() for stamp in frequency.after(every[-1], 2)] == following
    gaps = [stamp for index, stamp in enumerate(every) if index % 4 != 2]
    assert spacing.infer(gaps).alias == alias


def test_one_stamp_a_quarter_is_quarterly() -> None:
    days = [31, 30, 28, 31] * 4
    every = [datetime(2020 + index // 4, 3 * (index % 4) + 3, day) for index, day in enumerate(days)]
    assert spacing.infer(every).words == "quarterly"


def stamps(name: str, start: str, count: int) -> list[datetime]:
    return [stamp.to_pydatetime() for stamp in pd.date_range(start, periods=count, freq=name)]


@pytest.mark.parametrize(("name", "start", "count", "alias", "season"), PANDAS, ids=lambda value: str(value))
def test_infers_and_continues_as_pandas_does(name, start, count, alias, season):
    every = stamps(name, start, count + 40)
    frequency = spacing.infer(every[:count])
    assert frequency.alias == alias
    assert frequency.season == season
    assert frequency.after(every[count - 1], 40) == every[count:]
    assert [frequency.position(stamp) - frequency.position(every[0]) for stamp in every] == list(range(count + 40))


@pytest.mark.parametrize(("name", "start", "count", "alias", "season"), PANDAS, ids=lambda value: str(value))
def test_its_own_alias_names_it(name, start, count, alias, season):
    every = stamps(name, start, count + 3)
    assert spacing.named(alias, every[:count]).after(every[count - 1], 3) == every[count:]


@pytest.mark.parametrize(("name", "start", "count", "alias", "season"), PANDAS, ids=lambda value: str(value))
def test_small_gaps_are_tolerated(name, start, count, alias, season):
    every = stamps(name, start, count)
    kept = [stamp for index, stamp in enumerate(every) if index not in (3, 7)]
    assert spacing.infer(kept).alias == alias


def test_the_same_day_of_each_month():
    every = [datetime(2023 + month // 12, month % 12 + 1, 15) for month in range(18)]
    frequency = spacing.infer(every)
    assert frequency.after(every[-1], 2) == [datetime(2024, 7, 15), datetime(2024, 8, 15)]


def test_the_thirtieth_where_there_is_one():
    every = [datetime(2023, month, 28 if month == 2 else 30) for month in range(1, 13)]
    assert spacing.infer(every).after(every[-1], 3) == [
        datetime(2024, 1, 30),
        datetime(2024, 2, 29),
        datetime(2024, 3, 30),
    ]


def test_closed_sundays_stay_closed():
    open_days = [day for day in stamps("D", "2024-01-01", 60) if day.weekday() != 6]
    frequency = spacing.infer(open_days)
    assert all(day.weekday() != 6 for day in frequency.after(open_days[-1], 30))


def test_opening_hours_stay_opening_hours():
    opened = [hour for hour in stamps("h", "2024-01-01", 24 * 30) if 9 <= hour.hour < 17 and hour.weekday() < 5]
    frequency = spacing.infer(opened)
    later = frequency.after(opened[-1], 40)
    assert later[0] == datetime(2024, 1, 31, 9)
    assert {hour.hour for hour in later} == set(range(9, 17))
    assert all(hour.weekday() < 5 for hour in later)
    assert frequency.season == 8


def test_three_days_a_week():
    every = [day for day in stamps("D", "2024-01-01", 100) if day.weekday() in (0, 1, 3)]
    assert spacing.infer(every[:30]).after(every[29], 12) == every[30:42]


def test_irregular_dates_are_rejected():
    generator = np.random.default_rng(5)
    every = sorted({datetime(2024, 1, 1) + timedelta(days=int(day)) for day in generator.integers(0, 2000, 60)})
    with pytest.raises(RejectedError) as raised:
        spacing.infer(every)
    assert raised.value.code == "irregular_series"


def test_times_that_miss_a_round_step_are_moved_onto_it():
    generator = np.random.default_rng(5)
    every = stamps("5min", "2024-01-01", 50)
    shaken = [stamp + timedelta(seconds=float(generator.uniform(-20, 20))) for stamp in every]
    assert spacing.snap(shaken) == every


def test_daily_readings_at_varying_times_become_days():
    every = [day + timedelta(minutes=8 * 60 + index % 7) for index, day in enumerate(stamps("D", "2024-01-01", 30))]
    assert spacing.snap(every) == stamps("D", "2024-01-01", 30)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("hourly", "h"),
        ("H", "h"),
        ("15T", "15min"),
        ("15 min", "15min"),
        ("daily", "D"),
        ("business-daily", "B"),
        ("weekly", "W-WED"),
        ("W-sun", "W-SUN"),
        ("2W", "14D"),
        ("monthly", "ME"),
        ("M", "ME"),
        ("MS", "MS"),
        ("quarterly", "QE-OCT"),
        ("QS", "QS-JAN"),
        ("yearly", "YE-JAN"),
        ("YE", "YE-DEC"),
    ],
)
def test_names(name, alias):
    assert spacing.named(name, [datetime(2023, 12, 31), datetime(2024, 1, 31)]).alias == alias


@pytest.mark.parametrize("name", ["", "fortnight", "0D", "W-XYZ", "QS-FOO", "D-MON", "99999D", "day night", "MS-"])
def test_unknown_names_are_rejected(name):
    with pytest.raises(RejectedError) as raised:
        spacing.named(name, [datetime(2024, 1, 31)])
    assert raised.value.code == "invalid_parameters"


def test_an_anchor_off_the_last_stamp_is_reached_first():
    assert spacing.named("MS", [datetime(2024, 1, 15)]).after(datetime(2024, 1, 15), 2) == [
        datetime(2024, 2, 1),
        datetime(2024, 3, 1),
    ]
    assert spacing.named("W-SUN", [datetime(2024, 1, 15)]).after(datetime(2024, 1, 15), 1) == [datetime(2024, 1, 21)]
    assert spacing.named("ME", [datetime(2024, 1, 15)]).after(datetime(2024, 1, 15), 1) == [datetime(2024, 1, 31)]


def test_the_calendar_ends():
    with pytest.raises(RejectedError) as raised:
        Frequency("month", 12).after(datetime(9000, 1, 1), 1000)
    assert raised.value.code == "invalid_parameters"


@settings(deadline=None)
@given(
    st.sampled_from([name for name, *_ in PANDAS if name not in ("7h",)]),
    st.dates(min_value=datetime(1990, 1, 1).date(), max_value=datetime(2050, 1, 1).date()),
    st.sets(st.integers(1, 28), max_size=3),
)
def test_any_start_and_any_gaps(name, start, missing):
    every = stamps(name, start.isoformat(), 60)
    kept = [stamp for index, stamp in enumerate(every[:50]) if index not in missing]
    assert spacing.infer(kept).after(kept[-1], 10) == every[50:]


def test_a_fiscal_year_whose_end_moved_is_yearly():
    stamps = [datetime(year, 6, 30) for year in range(1960, 1977)] + [
        datetime(year, 9, 30) for year in range(1977, 1990)
    ]
    frequency = spacing.infer(stamps)
    assert frequency.alias == "Y-SEP"
    assert frequency.after(stamps[-1], 2) == [datetime(1990, 9, 30), datetime(1991, 9, 30)]
    positions = [frequency.position(stamp) for stamp in stamps]
    assert positions == sorted(set(positions))


def test_two_stamps_in_a_year_are_not_yearly():
    stamps = sorted([datetime(year, 6, 30) for year in range(1960, 1990)] + [datetime(1977, 9, 30)])
    with pytest.raises(RejectedError, match="no regular frequency"):
        spacing.infer(stamps)
