"""Recognises the date format of a column, and reads the column."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from pipeline.errors import RejectedError
from pipeline.tabular.date_formats import FORMATS, Format, requested
from pipeline.tabular.vocabulary import names

SAMPLE = 2_000  # cells by which the candidate formats are chosen
SHARE = 0.9  # of a column's cells that a format must read; the rest may be "Total" or "n/a"


UNIX_WORDS = frozenset(("unix", "epoch", "timestamp", "timestamps", "ts", "time", "datetime", "seconds", "millis"))
LETTERS = re.compile(r"[^\W\d_]{2}|[^\x00-\x7f]")  # of a name; not only of 2024-01-01T00:00Z
NUMERALS = [form for form in FORMATS if "%b" not in form.name and form.name.isascii()]
NUMERIC = frozenset(
    ("%Y", "%Y%m%d", "%m.%Y", "%Y.%m", "decimal years")
)  # formats that a column of numbers may match too


@dataclass(frozen=True, slots=True)
class DateColumn:
    """A column that has been read: a naive stamp per cell, None where the cell is not a date.

    Args:
        zone: what was done with UTC offsets: "UTC" (converted), "local" (dropped), or None without any.
    """

    format: str
    stamps: list[datetime | None]
    zone: str | None


def formats(cells: Sequence[str], header: str = "") -> list[Format]:
    """The formats that read nearly every cell, best first; empty if the column has no dates."""
    cells = [cell for cell in cells if cell]
    probe = cells[:8]
    if not any(_plausible(cell) for cell in probe):
        return []
    scored: list[tuple[int, Format]] = []
    for form in NUMERALS if not any(map(LETTERS.search, probe)) else FORMATS:
        if any(form.parse(cell) for cell in probe) and _allowed(form, cells, header):
            count = sum(form.parse(cell) is not None for cell in cells)
            if count >= SHARE * len(cells):
                scored.append((count, form))
    if not scored:
        return []
    most = max(count for count, _ in scored)
    # A format that fails where another succeeds is wrong: on a day above 12, for example.
    best = [form for count, form in scored if count == most]
    return _drop_unusual(best)


def read(cells: Sequence[str], header: str = "", date_format: str | None = None) -> DateColumn:
    """Reads a whole column.

    Args:
        cells: the stripped cells, "" for a missing one.
        header: the column's name, by which bare years and Unix seconds are recognised.
        date_format: a strptime pattern, or one such as "DD/MM/YYYY"; decides between day and month.

    Raises:
        RejectedError: `ambiguous_dates`, `unreadable_dates` or `invalid_date_format`.
    """
    present = [cell for cell in cells if cell]
    candidates = [requested(date_format)] if date_format else formats(present[:SAMPLE], header)
    readings = [(form, form.read(cells)) for form in candidates]
    counts = [sum(stamp is not None for stamp in stamps) for _, stamps in readings]
    most = max(counts, default=0)
    if not most or most < SHARE * len(present):
        raise _unreadable(header, date_format, most, len(present))
    best = [reading for reading, count in zip(readings, counts, strict=True) if count == most]
    distinct = _distinct(best)
    if len(distinct) > 1:
        distinct = _settle(distinct, header, cells)
    form, stamps = distinct[0]
    return _column(form, stamps)


def is_regular(stamps: Sequence[datetime]) -> bool:
    """Whether distinct, sorted stamps are evenly spaced: by time, by business day or by calendar month."""
    if len(stamps) < 3:
        return False
    steps = {after - before for before, after in pairwise(stamps)}
    if len(steps) == 1:
        return True
    if len({stamp.day for stamp in stamps}) == 1:
        months = [stamp.year * 12 + stamp.month for stamp in stamps]
        return len({after - before for before, after in pairwise(months)}) == 1
    return all(stamp.weekday() < 5 for stamp in stamps) and all(
        after - before == timedelta(days=3 if before.weekday() == 4 else 1) for before, after in pairwise(stamps)
    )


def unreadable(name: str) -> RejectedError:
    return RejectedError(
        "unreadable_dates",
        f"The dates in column {name!r} have no single known format. "
        "Set the parameter date_format, for example to %d/%m/%Y.",
    )


def _unreadable(header: str, date_format: str | None, count: int, total: int) -> RejectedError:
    if date_format is None:
        return unreadable(header)
    message = f"date_format {date_format!r} matches only {count} of the {total} dates in column {header!r}."
    return RejectedError("unreadable_dates", message)


# --- choosing between readings ---------------------------------------------------------------------


def _plausible(cell: str) -> bool:
    return 4 <= len(cell) <= 80 and any(char.isdigit() for char in cell)


def _allowed(form: Format, cells: Sequence[str], header: str) -> bool:
    """A plain number is a date only if the header or the sequence of values suggests so."""
    words = set(names.words(header))
    if form.name.startswith("unix"):
        return bool(words & UNIX_WORDS)
    if form.name not in NUMERIC or words & names.DATE_WORDS:
        return True
    stamps = [stamp for stamp in form.read(cells) if stamp is not None]
    if form.name == "%Y%m%d":
        return _monotone(stamps)
    return is_regular(stamps) or is_regular(stamps[::-1])


def _drop_unusual(forms: list[Format]) -> list[Format]:
    """With dots the day comes first; a two-digit year comes first only if no other format reads the column."""
    names = {form.name for form in forms}
    unusual = set()
    if "%d.%m.%Y" in names:
        unusual.add("%m.%d.%Y")
    if "%d.%m.%y" in names:
        unusual.add("%m.%d.%y")
    if names & {"%Y-%m-%d", "%Y%m%d"}:
        unusual |= {"%y-%m-%d", "%d-%m-%y", "%m-%d-%y"}
    return [form for form in forms if form.name not in unusual]


Reading = tuple[Format, list[datetime | None]]


def _distinct(readings: list[Reading]) -> list[Reading]:
    kept: list[Reading] = []
    for reading in readings:
        if all(reading[1] != other[1] for other in kept):
            kept.append(reading)
    return kept


def _settle(readings: list[Reading], header: str, cells: Sequence[str]) -> list[Reading]:
    """The only reading that puts the dates in order, or that spaces them evenly.

    Raises:
        RejectedError: `ambiguous_dates` if order and spacing do not single one out.
    """
    present = [[stamp for stamp in stamps if stamp is not None] for _, stamps in readings]
    ordered = [index for index, stamps in enumerate(present) if _monotone(stamps)]
    regular = [index for index, stamps in enumerate(present) if is_regular(sorted(set(stamps)))]
    votes = {indexes[0] for indexes in (ordered, regular) if len(indexes) == 1}
    if len(votes) == 1:
        return [readings[votes.pop()]]
    example = next(index for index in range(len(cells)) if len({stamps[index] for _, stamps in readings}) > 1)
    meanings = " or ".join(
        f"{form.name} ({stamp.day} {stamp:%B %Y})"
        for form, stamps in readings
        if (stamp := stamps[example]) is not None
    )
    raise RejectedError(
        "ambiguous_dates",
        f"The dates in column {header!r} can be read in more than one way: {cells[example]!r} may be {meanings}. "
        "Set the parameter date_format to the right one.",
    )


def _monotone(stamps: Sequence[datetime]) -> bool:
    steps = [after > before for before, after in pairwise(stamps) if after != before]
    return len(steps) > 1 and (all(steps) or not any(steps))


# --- time zones ------------------------------------------------------------------------------------


def _column(form: Format, stamps: list[datetime | None]) -> DateColumn:
    aware = [stamp for stamp in stamps if stamp is not None and stamp.tzinfo is not None]
    if not aware:
        return DateColumn(form.name, stamps, None)
    if all((stamp.hour, stamp.minute, stamp.second) == (0, 0, 0) for stamp in aware):
        # Local midnights are days: in UTC they would fall on the day before, and jump with daylight saving.
        local = any(stamp.utcoffset() for stamp in aware)
        naive = [stamp and stamp.replace(tzinfo=None) for stamp in stamps]
        return DateColumn(form.name, naive, "local" if local else "UTC")
    utc = [_to_utc(stamp) if stamp is not None else None for stamp in stamps]
    return DateColumn(form.name, utc, "UTC")


def _to_utc(stamp: datetime) -> datetime:
    return stamp if stamp.tzinfo is None else stamp.astimezone(UTC).replace(tzinfo=None)
