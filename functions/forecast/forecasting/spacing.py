"""Infers the frequency of a series from its dates, or parses the requested one."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from forecasting.frequency import (
    BUSINESS,
    DAY,
    EPOCH,
    MONTHS,
    WEEK,
    WEEKDAYS,
    DayRule,
    Frequency,
    day_of,
    second_of_day,
)
from pipeline.errors import RejectedError

MIN_COVERAGE = 0.5  # of the grid between the first and the last stamp
MASKED_COVERAGE = 0.8  # when weekdays or hours are left out because they never occur
ROUND_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 43200)
MAX_JITTER = 0.2  # of a step
EDGE_DAYS = 7  # within which months begin and end on a day of trading

UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds", "secondly"), ("second", 1)),
    **dict.fromkeys(("t", "min", "minute", "minutes", "minutely"), ("second", 60)),
    **dict.fromkeys(("h", "hour", "hours", "hourly"), ("second", 3600)),
    **dict.fromkeys(("d", "day", "days", "daily"), ("day", 1)),
    **dict.fromkeys(("w", "week", "weeks", "weekly"), ("day", 7)),
    **dict.fromkeys(("m", "month", "months", "monthly"), ("month", 1)),
    **dict.fromkeys(("q", "quarter", "quarters", "quarterly"), ("month", 3)),
    **dict.fromkeys(("y", "a", "year", "years", "yearly", "annual", "annually"), ("month", 12)),
}
EDGES: dict[str, DayRule] = {"s": 1, "e": "end", "bs": "business start", "be": "business end"}
NAMED = re.compile(r"(\d{0,4})\s*(b?)([mqy])(s|e)(?:-([a-z]{3}))?|(\d{0,4})\s*([a-z]+)(?:-([a-z]{3}))?", re.IGNORECASE)


def infer(stamps: Sequence[datetime]) -> Frequency:
    """The frequency of sorted, distinct stamps, which may have gaps.

    Raises:
        RejectedError: `irregular_series`.
    """
    if len({stamp.time() for stamp in stamps}) > 1:
        frequency = _of_seconds(stamps)
    else:
        frequency = _of_months(stamps) or _of_days(stamps)
    for rougher in (_once_a_month, _once_a_year):
        if frequency is None or coverage(frequency, stamps) < MIN_COVERAGE:
            frequency = rougher(stamps)
    if frequency is None or coverage(frequency, stamps) < MIN_COVERAGE:
        raise RejectedError(
            "irregular_series",
            "The dates have no regular frequency, or more than half of them are missing. "
            "Set the parameter frequency, for example to daily.",
        )
    return frequency


def coverage(frequency: Frequency, stamps: Sequence[datetime]) -> float:
    """The share of the grid between the first and the last stamp that has stamps."""
    return len(stamps) / (frequency.position(stamps[-1]) - frequency.position(stamps[0]) + 1)


def snap(stamps: Sequence[datetime]) -> list[datetime] | None:
    """Stamps that deviate slightly from a round step, moved onto it; days lose their varying time of day.

    None if they have no round step, or two would coincide.
    """
    steps = sorted((after - before).total_seconds() for before, after in pairwise(stamps))
    usual = steps[len(steps) // 2]
    if usual > (1 - MAX_JITTER) * DAY:
        days = [stamp.replace(hour=0, minute=0, second=0, microsecond=0) for stamp in stamps]
        return days if len(set(days)) == len(days) else None
    step = min(ROUND_STEPS, key=lambda size: abs(size - usual))
    if abs(step - usual) > MAX_JITTER * step:
        return None
    moved = [EPOCH + timedelta(seconds=round((stamp - EPOCH).total_seconds() / step) * step) for stamp in stamps]
    off = max(abs((a - b).total_seconds()) for a, b in zip(stamps, moved, strict=True))
    return moved if 0 < off <= MAX_JITTER * step and len(set(moved)) == len(moved) else None


def _of_months(stamps: Sequence[datetime]) -> Frequency | None:
    rule = _day_rule(stamps)
    return None if rule is None else _by_months(stamps, rule)


def _once_a_month(stamps: Sequence[datetime]) -> Frequency | None:
    """The frequency of stamps in different months whose day follows no rule, such as the first day of trading."""
    days = sorted(stamp.day for stamp in stamps)
    rule: DayRule = days[len(days) // 2]
    if days[-1] <= EDGE_DAYS:
        rule = "business start"
    elif all(stamp.day + EDGE_DAYS > day_of("end", stamp.year, stamp.month) for stamp in stamps):
        rule = "business end"
    frequency = _by_months(stamps, rule)
    return None if frequency is None else replace(frequency, about=True)


def _once_a_year(stamps: Sequence[datetime]) -> Frequency | None:
    """The frequency of stamps in different years, such as the ends of fiscal years that moved."""
    last = stamps[-1]
    frequency = Frequency("month", 12, day=last.day, month=last.month, about=True)
    years = {frequency.position(stamp) for stamp in stamps}
    return frequency if len(years) == len({stamp.year for stamp in stamps}) == len(stamps) else None


def _by_months(stamps: Sequence[datetime], rule: DayRule) -> Frequency | None:
    months = [stamp.year * 12 + stamp.month for stamp in stamps]
    steps = Counter(after - before for before, after in pairwise(months))
    step = min(steps, key=lambda size: (-steps[size], size))
    if 0 in steps or any(size % step for size in steps):
        return None
    return Frequency("month", step, day=rule, month=_phase(stamps[0], step))


def _phase(stamp: datetime, step: int) -> int:
    return (stamp.month - 1) % step + 1 if 12 % step == 0 else stamp.month


def _day_rule(stamps: Sequence[datetime]) -> DayRule | None:
    """The rule for the day of the month that all stamps follow, if any."""
    latest = max(stamp.day for stamp in stamps)
    rules: tuple[DayRule, ...] = (
        ("end", latest, "business end", "business start") if latest > 27 else (latest, "business start", "business end")
    )
    return next((rule for rule in rules if all(s.day == day_of(rule, s.year, s.month) for s in stamps)), None)


def _of_days(stamps: Sequence[datetime]) -> Frequency | None:
    days = [(stamp - EPOCH).days for stamp in stamps]
    steps = Counter(after - before for before, after in pairwise(days))
    step = min(steps, key=lambda size: (-steps[size], size))
    weekdays = _weekdays(stamps)
    if len(weekdays) == 1 and step == 7:
        return Frequency("day", weekdays=weekdays)
    if 1 < len(weekdays) < 7:
        return Frequency("day", weekdays=weekdays)
    return None if any(size % step for size in steps) else Frequency("day", step)


def _weekdays(stamps: Sequence[datetime]) -> frozenset[int]:
    """The weekdays that occur, if the series is long enough to rule out the others; else all."""
    weekdays = frozenset(stamp.weekday() for stamp in stamps)
    if len(weekdays) == 7:
        return WEEK
    days = (stamps[-1] - stamps[0]).days + 1
    candidate = Frequency("day", weekdays=weekdays)
    dates = {stamp.date(): stamp for stamp in stamps}
    dense = coverage(candidate, sorted(dates.values())) >= MASKED_COVERAGE
    weeks = 1 if weekdays == BUSINESS else 3
    return weekdays if dense and days > 7 * weeks else WEEK


def _of_seconds(stamps: Sequence[datetime]) -> Frequency | None:
    if any(stamp.microsecond for stamp in stamps):
        return None
    seconds = [int((stamp - EPOCH).total_seconds()) for stamp in stamps]
    steps = Counter(after - before for before, after in pairwise(seconds))
    step = min(steps, key=lambda size: (-steps[size], size))
    if any(size % step for size in steps):
        return None
    plain = Frequency("second", step)
    if DAY % step or coverage(plain, stamps) >= MASKED_COVERAGE:
        return plain
    return _masked(stamps, step) or plain


def _masked(stamps: Sequence[datetime], step: int) -> Frequency | None:
    """A grid of the hours and weekdays that occur, such as those of a shop or an exchange."""
    days: defaultdict[int, set[int]] = defaultdict(set)
    for stamp in stamps:
        days[second_of_day(stamp)].add((stamp - EPOCH).days)
    count = len(set().union(*days.values()))
    times = tuple(sorted(days))
    masked = Frequency("second", step, weekdays=_weekdays(stamps), times=times)
    return masked if count >= 5 and coverage(masked, stamps) >= MASKED_COVERAGE else None


def named(text: str, stamps: Sequence[datetime]) -> Frequency:
    """The frequency of a pandas alias or an English word; the stamps decide what it leaves open.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    word = text.strip().casefold().replace("_", "-")
    if word in ("b", "business-daily", "business daily", "business-day", "business days"):
        return Frequency("day", weekdays=BUSINESS)
    match = NAMED.fullmatch(word)
    frequency = (_edged(match) if match.group(3) else _plain(match, stamps)) if match else None
    if frequency is None:
        raise RejectedError(
            "invalid_parameters",
            f"frequency {text!r} is unknown. Use one such as hourly, 15min, daily, B, W-MON, MS, ME, QS or yearly.",
        )
    return frequency


def _edged(match: re.Match[str]) -> Frequency | None:
    """Months, quarters and years by their first or last day: MS, BME, QS-FEB, YE."""
    count, business, unit, edge, anchor = (part or "" for part in match.groups()[:5])
    step = int(count or 1) * {"m": 1, "q": 3, "y": 12}[unit]
    if (anchor and anchor.upper() not in MONTHS) or not step:
        return None
    month = MONTHS.index(anchor.upper()) + 1 if anchor else 12 if edge == "e" and unit != "m" else 1
    phase = (month - 1) % step + 1 if 12 % step == 0 else month
    return Frequency("month", step, day=EDGES[business + edge], month=phase)


def _plain(match: re.Match[str], stamps: Sequence[datetime]) -> Frequency | None:
    count, word, anchor = (part or "" for part in match.groups()[5:])
    unit, size = UNITS.get(word, ("", 0))
    step = int(count or 1) * size
    if not step:
        return None
    if unit == "second":
        return Frequency("second", step)
    if unit == "day":
        if size == 7 and anchor.upper() in (*WEEKDAYS, "") and step == 7:
            weekday = WEEKDAYS.index(anchor.upper()) if anchor else stamps[-1].weekday()
            return Frequency("day", weekdays=frozenset([weekday]))
        return None if anchor else Frequency("day", step)
    rule = _day_rule(stamps) or stamps[-1].day
    return Frequency("month", step, day=rule, month=_phase(stamps[-1], step))
