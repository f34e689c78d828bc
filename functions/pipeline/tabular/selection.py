"""Decides what a table is for, and which of its columns are meant: the text to predict on, or the dates and values."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import RejectedError
from pipeline.tabular import date_parts
from pipeline.tabular.columns import Column, named
from pipeline.tabular.reader import Row
from pipeline.tabular.request import ANYTHING, KINDS, Request
from pipeline.tabular.vocabulary import names

Kind = Literal["timeseries", "table"]

DATE_NAMES = ("ds", "date", "datum", "timestamp", "datetime", "time", "day", "week", "month", "period", "year")
SENTENCE = 4.0  # words of a text beside dates and numbers
PHRASE = 2.5  # words of a text elsewhere
CERTAIN = 2  # first names.VALUES, which are forecast even if they never change
FILLED = 0.5  # of the rows
MANY = 20  # rows, in which texts are not all the same few
MIN_DISTINCT = 0.2
CODES = 4  # different whole numbers, at most, that are flags or codes of categories
MAX_CONSIDERED = 20
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """What the columns are for.

    Args:
        kind: None if there is nothing to predict on.
        payload: the column of texts or images, in a `table`.
        dates: the columns that together date a row of a `timeseries`: one, or such as year and month.
        value: the column to forecast.
        considered: the names of the other candidates, best first.
    """

    kind: Kind | None = None
    payload: Column | None = None
    dates: tuple[Column, ...] = ()
    value: Column | None = None
    considered: tuple[str, ...] = ()

    @property
    def date_name(self) -> str:
        return " + ".join(column.name for column in self.dates)

    def date(self, row: Row) -> str:
        """The row's date as one cell, "" if a part of it is missing."""
        return date_parts.joined(self.dates, row)

    @property
    def is_readable(self) -> bool:
        return all(column.readable for column in self.dates)


NONE = Choice()


def choose(columns: Sequence[Column], rows: int, request: Request = ANYTHING) -> Choice:
    """The requested columns and kind; for what the request leaves open, the most likely ones.

    Args:
        columns: as `columns.describe` returns them.
        rows: how many rows the table has, or its sample.

    Raises:
        RejectedError: `no_usable_column` if a requested column is not there or not one of images;
            `invalid_parameters` if both a column of texts and one of images are requested.
    """
    if request.text_column and request.image_column:
        raise RejectedError("invalid_parameters", "Give either text_column or image_column: one column is read.")
    for name in request.columns:
        named(columns, name)
    allowed = request.kinds & KINDS or KINDS
    table = _table(columns, request, only="timeseries" not in allowed) if "table" in allowed else NONE
    if table.kind or "timeseries" not in allowed:
        return table
    return _series(columns, rows, request)


# --- texts and images ------------------------------------------------------------------------------


def _table(columns: Sequence[Column], request: Request, *, only: bool) -> Choice:
    candidates = _payloads(columns, only=only)
    requested = request.image_column or request.text_column
    payload = named(columns, requested) if requested else next(iter(candidates), None)
    if request.image_column and payload and payload.type != "image":
        raise RejectedError("no_usable_column", f"The column {payload.name!r:.300} has no gs:// URIs of images.")
    if payload is None:
        return NONE
    return Choice("table", payload=payload, considered=_names(candidates, [payload]))


def _payloads(columns: Sequence[Column], *, only: bool) -> list[Column]:
    """Columns of images, then those of texts, the most likely first; `only`: whether the table can be nothing else."""
    images = [column for column in columns if column.type == "image"]
    is_series = any(column.type == "date" for column in columns) and any(_rank(column) < COUNTS for column in columns)
    accepts: Callable[[Column], bool] = _is_sentence if is_series and not only else _is_phrase
    texts = [column for column in columns if column.type == "text"]
    accepted = [column for column in texts if accepts(column)] or (texts if only else [])
    return images + sorted(accepted, key=_likelihood, reverse=True)


def _is_phrase(column: Column) -> bool:
    if names.is_text(column.name):
        return True
    is_category = len(column.sample) >= MANY and len(set(column.sample)) < MIN_DISTINCT * len(column.sample)
    if names.is_undated(column.name) or is_category:
        return False
    return column.length >= (PHRASE - 1 if names.is_prose(column.name) else PHRASE)


def _is_sentence(column: Column) -> bool:
    """Whether texts are the input although the table may be a series; names, notes and categories are not."""
    if column.fill < FILLED or column.distinct <= 0.5:
        return False
    if names.is_text(column.name):
        return column.length >= PHRASE - 1
    least = 2 * SENTENCE if names.is_label(column.name) else SENTENCE
    return column.length >= least and not names.is_undated(column.name)


def _likelihood(column: Column) -> float:
    """How likely a column of texts is meant: by its name, its length, its gaps and its repetitions."""
    name = column.name
    promise = 4.0 if names.is_text(name) else 1.5 if names.is_prose(name) else -2.0 if names.is_label(name) else 0.0
    gaps, repetitions = 1 - column.fill, max(0.0, 0.8 - column.distinct)
    return promise + math.log2(1 + min(column.length, 64)) - 8 * gaps - 4 * repetitions


# --- series ----------------------------------------------------------------------------------------

PLAIN, FLAGS, ATTRIBUTES, COUNTS, CONSTANTS = range(5)


def _series(columns: Sequence[Column], rows: int, request: Request) -> Choice:
    dates = _dates(columns, request)
    used = {column.index for column in dates}
    numbers = [column for column in columns if column.type == "number" and column.index not in used]
    numbers.sort(key=_unlikelihood_of_value)
    value = named(columns, request.value_column) if request.value_column else next(iter(numbers), None)
    if rows < 2 or not dates or value is None:
        return NONE
    return Choice("timeseries", dates=dates, value=value, considered=_names(numbers, [value]))


def _rank(column: Column) -> int:
    """What the numbers of a column are good for, as a place in an order: identifiers, counters and constants last."""
    place = names.place_of_value(column.name)
    if column.type != "number" or (column.is_constant and place >= CERTAIN):
        return CONSTANTS
    if place < len(names.VALUES):
        return PLAIN
    if column.unnamed or column.is_counter or names.is_identifier(column.name):
        return COUNTS
    if names.is_attribute(column.name):
        return ATTRIBUTES
    is_code = len(column.sample) >= MANY and len(set(column.sample)) <= CODES and all(map(str.isdecimal, column.sample))
    return FLAGS if is_code else PLAIN


def _dates(columns: Sequence[Column], request: Request) -> tuple[Column, ...]:
    if request.date_column:
        return (named(columns, request.date_column),)
    dates = [column for column in columns if column.type == "date"]
    dates.sort(key=_unlikelihood_of_date)
    return date_parts.together(columns, next(iter(dates), None))


def _unlikelihood_of_value(column: Column) -> tuple[int, bool, int, bool]:
    name = column.name
    return _rank(column), column.fill < FILLED, names.place_of_value(name), not names.is_value(name)


def _unlikelihood_of_date(column: Column) -> tuple[bool, bool, bool, bool, int, bool]:
    name = column.name.strip().casefold()
    place = DATE_NAMES.index(name) if name in DATE_NAMES else len(DATE_NAMES)
    is_named = names.is_undated(name) or names.is_date(name)
    is_sparse = column.fill < FILLED
    return not column.readable, is_sparse, column.is_constant, date_parts.is_years(column), place, not is_named


def _names(candidates: Sequence[Column], chosen: Sequence[Column]) -> tuple[str, ...]:
    others = [column.name[:MAX_NAME] for column in candidates if column not in chosen]
    return tuple(others[:MAX_CONSIDERED])
