"""Dates whose parts stand in several columns, such as year and month, or date and time."""

import re
from collections.abc import Callable, Iterable, Sequence

from pipeline.tabular.columns import Column
from pipeline.tabular.reader import Row
from pipeline.tabular.vocabulary import names
from pipeline.tabular.vocabulary.calendar_names import MONTHS

YEAR = re.compile(r"(?:1[6-9]|2[0-2])\d\d(?:\.0)?")
CLOCK = re.compile(r"\d{1,2}([:.])\d{2}(?:\1\d{2}(?:\.\d+)?)?(?:\s*[ap]\.?m\.?)?", re.IGNORECASE)
QUARTER = re.compile(r"Q?[1-4](?:\.0)?Q?", re.IGNORECASE)
WHOLE = re.compile(r"\d{1,4}(?:\.0)?")


def together(columns: Iterable[Column], date: Column | None) -> tuple[Column, ...]:
    """The columns that date a row together.

    Args:
        date: the column that dates the rows best by itself, if any does.
    """
    parts = {part: column for column in columns if (part := _part(column)) is not None}
    if date is not None and not is_years(date):
        clock = parts.get("time")
        needs_time = date.distinct < 1 and not any(":" in cell for cell in date.sample)
        return (date, clock) if clock and clock is not date and needs_time else (date,)
    for combination in (("year", "month", "day", "time"), ("year", "month", "day"), ("year", "month")):
        if parts.keys() >= set(combination):
            return tuple(parts[part] for part in combination)
    for part in ("quarter", "week"):
        if parts.keys() >= {"year", part}:
            return parts["year"], parts[part]
    return () if date is None else (date,)


def is_years(column: Column) -> bool:
    return bool(column.sample) and all(YEAR.fullmatch(cell) for cell in column.sample)


def joined(columns: Sequence[Column], row: Row) -> str:
    """The row's date as one cell in a format that `dates` reads, "" if a part is missing."""
    cells = [column.cell(row) for column in columns]
    if len(columns) == 1:
        return cells[0]
    if not all(cells):
        return ""
    parts = {names.part_of_date(column.name): _plain(cell) for column, cell in zip(columns, cells, strict=True)}
    if "year" not in parts:
        return f"{cells[0]} {_clock(cells[1])}"
    year = parts["year"]
    if "quarter" in parts:
        return f"{year}-Q{parts['quarter'].strip('qQ')}"
    if "week" in parts:
        return f"{year}-W{parts['week'].zfill(2)}"
    month, day = parts["month"], parts.get("day")
    if not month.isdecimal():
        whole = f"{month} {year}" if day is None else f"{day} {month} {year}"
    else:
        whole = f"{year}-{month.zfill(2)}" if day is None else f"{year}-{month.zfill(2)}-{day.zfill(2)}"
    return f"{whole} {_clock(parts['time'])}" if "time" in parts else whole


def _part(column: Column) -> str | None:
    """Which part of a date the column has, by its name and all of its sample."""
    part = names.part_of_date(column.name)
    fits = _FITS.get(part or "")
    return part if fits and column.sample and all(map(fits, column.sample)) else None


def _is_whole(low: int, high: int) -> Callable[[str], bool]:
    return lambda cell: bool(WHOLE.fullmatch(cell)) and low <= int(float(cell)) <= high


def _is_month(cell: str) -> bool:
    return cell.casefold().rstrip(".") in MONTHS or _is_whole(1, 12)(cell)


def _is_time(cell: str) -> bool:
    return bool(CLOCK.fullmatch(cell)) or (_is_whole(0, 2400)(cell) and int(float(cell)) % 100 < 60)


_FITS: dict[str, Callable[[str], object]] = {
    "year": YEAR.fullmatch,
    "month": _is_month,
    "quarter": QUARTER.fullmatch,
    "week": _is_whole(1, 53),
    "day": _is_whole(1, 31),
    "time": _is_time,
}


def _plain(cell: str) -> str:
    return cell.removesuffix(".0").rstrip(".")


def _clock(cell: str) -> str:
    """A time of day with colons: also of a bare hour, or of hours and minutes such as 1730 or 17.30."""
    cell = _plain(cell)
    if not cell.isdecimal():
        return cell if ":" in cell else cell.replace(".", ":", 2)
    hour, minute = (cell, "00") if len(cell) < 3 else (cell[:-2], cell[-2:])
    return f"{hour.zfill(2)}:{minute}"
