"""Reads a series from delimited text, with notes on the rows that were dropped."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from forecasting import repeats, spacing
from forecasting.frequency import Frequency
from forecasting.options import Options
from forecasting.repeats import Point
from pipeline.errors import RejectedError
from pipeline.tabular import dates, numbers, reader, sniffer
from pipeline.tabular.columns import Column
from pipeline.tabular.reader import Row
from pipeline.tabular.request import Request
from pipeline.tabular.selection import Choice
from pipeline.tabular.table import Table

MAX_ROWS = 1_000_000
MAX_POINTS = 20_000  # the latest ones are used
MIN_POINTS = 8
MAX_HORIZON_RATIO = 4  # steps ahead per step of history
MAX_UNREADABLE = 0.1  # of the rows
MAX_VALUE = 1e100  # squares of it are still finite


@dataclass(frozen=True, slots=True)
class Series:
    """Sorted naive stamps with their values, and notes on how they were read."""

    stamps: list[datetime]
    values: NDArray[np.float64]
    frequency: Frequency
    date_column: str
    value_column: str
    date_format: str
    rows: int
    combined: int = 0  # rows that became part of another row's point
    notes: list[str] = field(default_factory=list)
    delimiter: str = ","
    decimal: str = "."

    @property
    def floor(self) -> float | None:
        """The lower bound of forecasts: 0 for a history that was never negative."""
        return 0.0 if float(self.values.min()) >= 0 else None


def read(text: str, options: Options) -> Series:
    """Reads the series.

    Raises:
        RejectedError: `invalid_csv`, `no_usable_column`, `ambiguous_dates`, `unreadable_dates`,
            `duplicate_timestamps`, `irregular_series`, `too_short`, `too_large`.
    """
    request = Request.of(options.json(), frozenset(("timeseries",)))
    table = sniffer.sniff(text, complete=True, request=request, declared=True)
    choice = table.choice(request)
    value = _value(table, choice)
    notes = [*_choice_notes(choice, value, options), *table.notes]
    date_cells, value_cells = _columns(text, table, choice, value)
    rows = len(date_cells)
    column = dates.read(date_cells, choice.date_name, options.date_format)
    notes += _zone_notes(column)
    values = _numbers(value_cells, value, options, notes)
    del date_cells, value_cells
    sorted_points = _points(column.stamps, values, notes)
    points = _unique(sorted_points, text, table, choice, options, notes)
    combined = len(sorted_points) - len(points) if options.combine else 0
    if len(points) > MAX_POINTS:
        notes.append(f"Only the latest {MAX_POINTS} of {len(points)} points were used.")
        points = points[-MAX_POINTS:]
    _check_length(len(points), options.horizon)
    stamps = [stamp for stamp, _, _ in points]
    stamps, frequency = _frequency(stamps, options, notes)
    return Series(
        stamps=stamps,
        values=np.array([value for _, value, _ in points], dtype=np.float64),
        frequency=frequency,
        date_column=choice.date_name,
        value_column=value.name,
        date_format=column.format,
        rows=rows,
        combined=combined,
        notes=notes,
        delimiter=table.delimiter,
        decimal=value.decimal,
    )


def _value(table: Table, choice: Choice) -> Column:
    if choice.value is not None:
        return choice.value
    if not table.columns:
        raise RejectedError("invalid_csv", "The content is not a table with a date column and a numeric column.")
    has_dates = bool(choice.dates) or bool(table.of("date"))
    problem = "a date column but no numeric column" if has_dates else "no date column"
    names = ", ".join(column.name for column in table.columns)
    raise RejectedError("no_usable_column", f"The file has {problem}. Its columns are {names:.600}.")


def _choice_notes(choice: Choice, value: Column, options: Options) -> list[str]:
    notes = []
    if len(choice.dates) > 1:
        names = ", ".join(column.name for column in choice.dates)
        notes.append(f"The columns {names} were read together as the date.")
    if choice.considered and not options.value_column:
        others = ", ".join(choice.considered)
        notes.append(f"Column {value.name!r} was forecast. The parameter value_column selects another ({others:.200}).")
    return notes


def _columns(text: str, table: Table, choice: Choice, value: Column) -> tuple[list[str], list[str]]:
    """The dates' and the values' cells; the rest of each row is discarded while reading."""
    date_cells: list[str] = []
    value_cells: list[str] = []
    width, ragged = len(table.columns), 0
    for row in _rows(text, table):
        if len(date_cells) == MAX_ROWS:
            raise RejectedError("too_large", f"The file has more than {MAX_ROWS:,} rows.")
        ragged += any(map(str.strip, row[width:]))
        date_cells.append(choice.date(row))
        value_cells.append(value.cell(row))
    if ragged > MAX_UNREADABLE * len(date_cells):
        raise RejectedError(
            "invalid_csv",
            f"{ragged} rows have more cells than the {width} columns. Quote the cells that contain the delimiter.",
        )
    return date_cells, value_cells


def _rows(text: str, table: Table) -> Iterator[Row]:
    """The rows below the header; a single cell is a note, whose row is empty."""
    records = reader.records(reader.lines(text), table.delimiter, strict=True)
    for record in islice(records, table.skip, None):
        yield record.cells if len(record.cells) > 1 else []


def _numbers(cells: Sequence[str], column: Column, options: Options, notes: list[str]) -> "array[float]":
    """The values, NaN where a cell is missing or not a number."""
    present = [cell for cell in cells if cell]
    convention = numbers.convention(present, preferred=column.decimal)
    decimal = options.decimal or (convention.decimal if convention else column.decimal)
    values = array("d", (_finite(numbers.number(cell, decimal)) if cell else np.nan for cell in cells))
    missing = len(cells) - len(present)
    unreadable = int(np.isnan(values).sum()) - missing
    if unreadable > MAX_UNREADABLE * len(present) or not present:
        raise RejectedError(
            "no_usable_column",
            f"{unreadable} of {len(present)} cells in column {column.name!r} are not numbers.",
        )
    if missing:
        notes.append(f"{_count(missing)} without a value dropped.")
    if unreadable:
        notes.append(f"{_count(unreadable)} dropped: the value is not a finite number.")
    if convention and not convention.certain and not options.decimal:
        name = "point" if decimal == "." else "comma"
        notes.append(f"The numbers can be read with either separator; the {name} was taken as the decimal separator.")
    return values


def _finite(value: float | None) -> float:
    return np.nan if value is None or abs(value) > MAX_VALUE else value


def _points(stamps: Sequence[datetime | None], values: "array[float]", notes: list[str]) -> list[Point]:
    """Points in order of time, without rows that lack a date or a value."""
    undated = sum(stamp is None for stamp in stamps)
    if undated:
        notes.append(f"{_count(undated)} without a readable date dropped.")
    numbered = enumerate(zip(stamps, values, strict=True))
    points = [(stamp, value, number) for number, (stamp, value) in numbered if stamp is not None and value == value]
    dates_read = [point[0] for point in points]
    points.sort()
    ordered = [point[0] for point in points]
    if dates_read not in (ordered, ordered[::-1]):
        notes.append("The rows were not in order of time and were sorted.")
    return points


def _unique(
    points: list[Point], text: str, table: Table, choice: Choice, options: Options, notes: list[str]
) -> list[Point]:
    """One point per date. Raises RejectedError: `duplicate_timestamps`."""
    if not repeats.occur(points):
        return points
    if options.combine:
        unique = repeats.combined(points, options.combine)
        notes.append(f"{_count(len(points))} became {len(unique)} points: the {options.combine} of each date's values.")
        return unique
    others = [column for column in table.columns if column not in (*choice.dates, choice.value)]
    unique = repeats.removed(points, _rows(text, table), others)
    notes.append(f"{_count(len(points) - len(unique))} dropped: they repeat another row.")
    return unique


def _check_length(points: int, horizon: int) -> None:
    needed = max(MIN_POINTS, -(-horizon // MAX_HORIZON_RATIO))
    if points < needed:
        raise RejectedError(
            "too_short",
            f"The series has {points} usable points; a forecast of {horizon} steps needs at least {needed}.",
        )


def _frequency(stamps: list[datetime], options: Options, notes: list[str]) -> tuple[list[datetime], Frequency]:
    if options.frequency:
        notes.append("The frequency is the requested one.")
        return stamps, spacing.named(options.frequency, stamps)
    try:
        frequency = spacing.infer(stamps)
    except RejectedError:
        moved = spacing.snap(stamps)
        if moved is None:
            raise
        frequency = spacing.infer(moved)
        notes.append(f"The times deviate slightly from the step ({frequency.words}) and were rounded to it.")
        stamps = moved
    expected = frequency.position(stamps[-1]) - frequency.position(stamps[0]) + 1
    if expected > len(stamps):
        notes.append(f"{expected - len(stamps)} of {expected} steps are missing; the model interpolates them.")
    if frequency.unit == "second" and frequency.times:
        notes.append("Hours or weekdays that never occur in the history are left out of the forecast too.")
    elif frequency.unit == "day" and 1 < len(frequency.weekdays) < 7:
        notes.append("Weekdays that never occur in the history are left out of the forecast too.")
    return stamps, frequency


def _zone_notes(column: dates.DateColumn) -> list[str]:
    notes = {
        "UTC": "Times with a UTC offset were converted to UTC; dates in the response are in UTC.",
        "local": "All times are local midnights and were read as dates; their UTC offsets were dropped.",
    }
    return [notes[column.zone]] if column.zone else []


def _count(rows: int) -> str:
    return f"{rows} row{'s' if rows != 1 else ''}"


def cut(series: Series, end: int, points: int) -> Series:
    """The last `points` points before the index `end`."""
    start = max(0, end - points)
    return replace(series, stamps=series.stamps[start:end], values=series.values[start:end], notes=[])
