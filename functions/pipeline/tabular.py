"""Understands delimited text from its first lines: delimiter, header, column types, and what it is for."""

import csv
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline import dates
from pipeline.errors import RejectedError

Type = Literal["date", "number", "text", "image", "empty"]
Kind = Literal["timeseries", "table"]
Row = list[str]

DELIMITERS = (";", "\t", ",", "|")
MAX_COLUMNS = 2_000
MAX_RECORD_CHARS = 128 * 1024  # a quoted field that runs longer was never closed
SAMPLE_CHARS = 64 * 1024
SAMPLE_ROWS = 400
SHARE = 0.9  # of a column's cells that must be of its type

MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "–", "—", ".", "?", "missing"))
PAYLOAD_NAMES = frozenset(
    "text review reviews comment comments message body content sentence document description tweet title "
    "feedback question answer headline summary post".split()
)
LABEL_NAMES = frozenset("id index label name category class target key uri url image image_uri path file".split())


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `decimal` is its decimal separator and `certain` whether the cells leave no doubt of it."""

    name: str
    index: int
    type: Type
    decimal: str = "."
    certain: bool = True
    payload: bool = False  # free text: sentences rather than names

    def number(self, cell: str) -> float | None:
        """The cell's finite value, or None."""
        return number(cell, self.decimal)


@dataclass(frozen=True, slots=True)
class Table:
    """What the first lines of a text are as a table; `columns` is empty when they are none."""

    delimiter: str
    columns: tuple[Column, ...]
    header: bool
    skip: int  # records before the data: titles and the header
    rows: int  # data rows seen, not all there are

    def of(self, kind: Type) -> list[Column]:
        return [column for column in self.columns if column.type == kind]

    @property
    def payload(self) -> Column | None:
        """The column that a model reads: images first, then free text, then a text column of a telling name."""
        images = self.of("image")
        texts = [column for column in self.of("text") if column.payload]
        return next(iter(images + texts), None)

    @property
    def kind(self) -> Kind | None:
        if self.rows >= 2 and self.of("date") and self.of("number") and self.payload is None:
            return "timeseries"
        return "table" if self.payload is not None else None


NOTHING = Table(delimiter="", columns=(), header=False, skip=0, rows=0)


def sniff(text: str, complete: bool) -> Table:
    """The table that a text's first 64 KB hold.

    Args:
        text: decoded text without a byte order mark.
        complete: False when the text was cut off, so that its last line means nothing.

    Raises:
        RejectedError: `too_many_columns` or `unclosed_quote`; anything else that is no table has no columns.
    """
    raise NotImplementedError


def records(text: str, delimiter: str) -> Iterator[Row]:
    """All records, stripped, without blank lines, comment lines and a `sep=` line; `unclosed_quote` is raised."""
    raise NotImplementedError


def number(cell: str, decimal: str) -> float | None:
    """The finite value of a cell, thousands separators, currency and percent signs aside; None otherwise."""
    raise NotImplementedError
