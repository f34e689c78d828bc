"""The frequency of a series: its name, its position of a stamp, and the stamps that follow."""

import calendar
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pipeline.errors import RejectedError

Unit = Literal["second", "day", "month"]
DayRule = int | Literal["end", "business start", "business end"]

DAY = 86_400
WEEK = frozenset(range(7))
BUSINESS = frozenset(range(5))
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
EPOCH = datetime(1970, 1, 5)  # a Monday


@dataclass(frozen=True, slots=True)
class Frequency:
    """A grid of stamps: every `step` seconds, days or months.

    Args:
        weekdays: the weekdays (0 = Monday) that a grid of days or seconds includes.
        times: the seconds of the day that a grid of seconds has; empty for all.
        day: the day of the month of a monthly grid, which counts from `month`.
        about: whether the history has that day only roughly, so that each month with a stamp is complete.
    """

    unit: Unit
    step: int = 1
    weekdays: frozenset[int] = WEEK
    times: tuple[int, ...] = ()
    day: DayRule = 1
    month: int = 1
    about: bool = False

    @property
    def alias(self) -> str:
        """The frequency's name in pandas, as the parameter `frequency` accepts it too."""
        times = str(self.step) if self.step > 1 else ""
        if self.unit == "month":
            return self._monthly_alias()
        if self.unit == "day":
            if len(self.weekdays) == 1:
                return f"W-{WEEKDAYS[min(self.weekdays)]}"
            return "B" if self.weekdays == BUSINESS else f"{times}D"
        for size, letter in ((3600, "h"), (60, "min")):
            if self.step % size == 0:
                return f"{self.step // size if self.step > size else ''}{letter}"
        return f"{times}s"

    def _monthly_alias(self) -> str:
        business = "B" if str(self.day).startswith("business") else ""
        edge = "S" if self.day in (1, "business start") else "" if isinstance(self.day, int) else "E"
        if self.step == 12:
            return f"{business}Y{edge}-{MONTHS[self.month - 1]}"
        if self.step == 3:
            # pandas counts quarters' ends from the last month of the year, their starts from the first.
            return f"{business}Q{edge}-{MONTHS[self.month - 1 + (9 if edge == 'E' else 0)]}"
        return f"{self.step if self.step > 1 else ''}{business}M{edge}"

    @property
    def words(self) -> str:
        """The frequency in English."""
        if self.unit == "month":
            names = {1: "monthly", 3: "quarterly", 12: "yearly"}
            return names.get(self.step, f"every {self.step} months")
        if self.unit == "day":
            if len(self.weekdays) == 1:
                return f"weekly on {calendar.day_name[min(self.weekdays)]}"
            if self.weekdays == BUSINESS:
                return "business-daily"
            return "daily" if self.step == 1 else f"every {self.step} days"
        for size, name in ((3600, "hour"), (60, "minute"), (1, "second")):
            if self.step % size == 0:
                count = self.step // size
                return f"every {count} {name}s" if count > 1 else f"every {name}"
        raise AssertionError(self.step)

    def per(self, days: float) -> float:
        """The average number of steps in a number of days."""
        if self.unit == "month":
            return days / 30.4375 / self.step
        share = len(self.weekdays) / 7
        if self.unit == "day":
            return days * share / self.step
        return days * share * (len(self.times) or DAY / self.step)

    @property
    def season(self) -> int:
        """The steps after which a series of this frequency usually repeats; 1 if it does not."""
        if self.unit == "month":
            return 12 // self.step if 12 % self.step == 0 else 1
        if self.unit == "day":
            weekly = len(self.weekdays) == 1 or self.step >= 7
            return max(1, round(self.per(365.25 if weekly else 7)))
        return max(1, round(self.per(7) / len(self.weekdays)))

    def position(self, stamp: datetime) -> int:
        """The stamp's place on the grid; neighbours differ by one."""
        if self.unit == "month":
            return (stamp.year * 12 + stamp.month - self.month) // self.step
        days = (stamp - EPOCH).days
        if self.unit == "day" and self.step > 1:
            return days // self.step
        whole = days // 7 * len(self.weekdays) + sum(day < stamp.weekday() for day in self.weekdays)
        if self.unit == "day":
            return whole
        if self.times:
            second = second_of_day(stamp)
            return whole * len(self.times) + sum(time < second for time in self.times)
        return int((stamp - EPOCH).total_seconds()) // self.step

    def after(self, last: datetime, count: int) -> list[datetime]:
        """The next `count` stamps of the grid.

        Raises:
            RejectedError: `invalid_parameters` if they run past the end of the calendar.
        """
        walk: Callable[[datetime], datetime] = {
            "month": self._next_month,
            "day": self._next_day,
            "second": self._next_time,
        }[self.unit]
        stamps = []
        try:
            for _ in range(count):
                last = walk(last)
                stamps.append(last)
        except (OverflowError, ValueError) as error:
            raise RejectedError(
                "invalid_parameters", f"{count} steps run past the end of the calendar. Set a smaller horizon."
            ) from error
        return stamps

    def _next_month(self, last: datetime) -> datetime:
        index = (self.position(last) + self.about) * self.step + self.month
        while True:
            following = self._on_day(last, (index - 1) // 12, (index - 1) % 12 + 1)
            if following > last:
                return following
            index += self.step

    def _on_day(self, like: datetime, year: int, month: int) -> datetime:
        return like.replace(year=year, month=month, day=day_of(self.day, year, month))

    def _next_day(self, last: datetime) -> datetime:
        last += timedelta(days=self.step)
        while last.weekday() not in self.weekdays:
            last += timedelta(days=1)
        return last

    def _next_time(self, last: datetime) -> datetime:
        if not self.times:
            return last + timedelta(seconds=self.step)
        midnight = last.replace(hour=0, minute=0, second=0, microsecond=0)
        later = [time for time in self.times if time > second_of_day(last)]
        if later and last.weekday() in self.weekdays:
            return midnight + timedelta(seconds=later[0])
        midnight += timedelta(days=1)
        while midnight.weekday() not in self.weekdays:
            midnight += timedelta(days=1)
        return midnight + timedelta(seconds=self.times[0])


def second_of_day(stamp: datetime) -> int:
    return stamp.hour * 3600 + stamp.minute * 60 + stamp.second


def day_of(rule: DayRule, year: int, month: int) -> int:
    """The day of the month by a rule; the 29th to 31st are the last day in shorter months."""
    length = calendar.monthrange(year, month)[1]
    if isinstance(rule, int):
        return min(rule, length)
    day = 1 if rule == "business start" else length
    step = 1 if rule == "business start" else -1
    if rule != "end":
        while calendar.weekday(year, month, day) > 4:
            day += step
    return day
