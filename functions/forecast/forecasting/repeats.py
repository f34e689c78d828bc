"""Rows with the same date: written twice, of several series in one file, or to be combined on request."""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import combinations, groupby, pairwise
from operator import itemgetter
from statistics import fmean

from pipeline.errors import RejectedError
from pipeline.tabular.columns import Column
from pipeline.tabular.reader import Row

COMBINATIONS: dict[str, Callable[[list[float]], float]] = {"sum": math.fsum, "mean": fmean}
DATES, ROWS = 100, 20  # of each date, in which to look for what tells series apart
MAX_KEYS = 12  # columns that may tell series apart, alone or in pairs
SHOWN = 3

Point = tuple[datetime, float, int]  # with the number of its row


def occur(points: Sequence[Point]) -> bool:
    """Whether two points, which are in order of time, have the same date."""
    return any(before[0] == after[0] for before, after in pairwise(points))


def combined(points: Sequence[Point], by: str) -> list[Point]:
    """One point per date, with the sum or the mean of its values."""
    combine = COMBINATIONS[by]
    return [(group[0][0], combine([value for _, value, _ in group]), group[0][2]) for group in _by_date(points)]


def removed(points: Sequence[Point], rows: Iterable[Row], columns: Sequence[Column]) -> list[Point]:
    """The points without those that a row repeats.

    Args:
        points: in order of time.
        rows: all rows of the file, in their order.
        columns: those beside the date and the value.

    Raises:
        RejectedError: `duplicate_timestamps` if the rows are of several series, or contradict each other.
    """
    repeated = [group for group in _by_date(points) if len(group) > 1]
    numbers = {number for group in repeated for _, _, number in group}
    sampled = {number for group in repeated[:DATES] for number in sorted(number for _, _, number in group)[:ROWS]}
    identities: dict[int, int] = {}
    sample: dict[int, Row] = {}
    for number, row in enumerate(rows):
        if number in numbers:
            identities[number] = hash(tuple(map(str.strip, row)))
            if number in sampled:
                sample[number] = row
    different = {(point[0], identities.get(point[2], point[2])): point for point in reversed(points)}
    kept = sorted(different.values())
    conflicts = [group for group in _by_date(kept) if len(group) > 1]
    if not conflicts:
        return kept
    rows_of_series = [(point[0], sample[point[2]]) for group in conflicts for point in group if point[2] in sample]
    if keys := _keys(rows_of_series, columns):
        raise _several_series(conflicts[0][0][0], keys, [row for _, row in rows_of_series])
    if all(len({value for _, value, _ in group}) == 1 for group in conflicts):
        return [group[0] for group in _by_date(kept)]
    raise _contradiction(conflicts[0][0][0])


def _by_date(points: Iterable[Point]) -> list[list[Point]]:
    return [list(group) for _, group in groupby(points, key=itemgetter(0))]


def _keys(rows: Sequence[tuple[datetime, Row]], columns: Sequence[Column]) -> tuple[Column, ...]:
    """The column, or the two columns, whose cells occur once per date and repeat from date to date; the fewest cells
    first. Empty if there is none."""
    cells = {column: {column.cell(row) for _, row in rows} for column in columns}
    candidates = [column for column in columns if 1 < len(cells[column]) <= len(rows) / 2]
    candidates = sorted(candidates, key=lambda column: len(cells[column]))[:MAX_KEYS]
    for count in (1, 2):
        for chosen in combinations(candidates, count):
            if len({(stamp, *_key(row, chosen)) for stamp, row in rows}) == len(rows):
                return chosen
    return ()


def _key(row: Row, columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.cell(row) for column in columns)


def _several_series(stamp: datetime, keys: Sequence[Column], rows: Sequence[Row]) -> RejectedError:
    values = sorted({" / ".join(_key(row, keys)) for row in rows})
    names = " and ".join(repr(column.name) for column in keys)
    shown = ", ".join(values[:SHOWN]) + (", …" if len(values) > SHOWN else "")
    return RejectedError(
        "duplicate_timestamps",
        f"The file has several series, which {names} {'tells' if len(keys) == 1 else 'tell'} apart ({shown:.200}): "
        f"{_shown(stamp)} occurs more than once. Send a file for each, or set the parameter combine to sum or mean.",
    )


def _contradiction(stamp: datetime) -> RejectedError:
    offset = " Local times need their UTC offset." if stamp.time() != datetime.min.time() else ""
    return RejectedError(
        "duplicate_timestamps",
        f"{_shown(stamp)} occurs more than once with different values. "
        f"Send one series per file, or set the parameter combine to sum or mean.{offset}",
    )


def _shown(stamp: datetime) -> str:
    return stamp.isoformat(sep=" ").removesuffix(" 00:00:00")
