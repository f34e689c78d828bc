"""Understands delimited text from its first lines: delimiter, header, column types, and what it is for."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Literal

from pipeline.errors import RejectedError
from pipeline.tabular import dates, numbers, reader
from pipeline.tabular.reader import HEAD_CHARS, MAX_COLUMNS, Record, Row

Type = Literal["date", "number", "text", "image", "empty"]
Kind = Literal["timeseries", "table"]

DELIMITERS = (";", "\t", ",", "|")
SAMPLE_ROWS = 400
TITLE_ROWS = 20  # that may stand above the table
SHARE = 0.9  # of a column's cells that must be of its type
WIDTH_SHARE = 0.75  # of the rows that must have as many cells as most


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MISSING = frozenset(("na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "–", "—", ".", "?", "missing", ""))
PAYLOAD_NAMES = _names(
    "text review reviews comment comments message body content sentence document description tweet title "
    "feedback question answer headline summary post"
)
OTHER_NAMES = _names(
    "id index label name category class target key uri url image path file date datum time timestamp ds y value "
    "sentiment score rating"
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `decimal` is its decimal separator, `certain` whether the cells leave no doubt of it."""

    name: str
    index: int
    type: Type
    decimal: str = "."
    certain: bool = True
    payload: bool = False  # text that a model is to read, rather than names and notes

    def cell(self, row: Row) -> str:
        """The row's cell in this column, "" where it is missing in one way or another."""
        cell = _at(row, self.index)
        return "" if cell.casefold() in MISSING else cell


@dataclass(frozen=True, slots=True)
class Table:
    """What the first lines of a text are as a table; `columns` is empty when they are none."""

    delimiter: str
    columns: tuple[Column, ...]
    header: bool
    skip: int  # records before the data: comments, titles and the header
    rows: int  # data rows seen, not all there are

    def of(self, kind: Type) -> list[Column]:
        return [column for column in self.columns if column.type == kind]

    @property
    def payload(self) -> Column | None:
        """The column that a model reads: an image column first, then a text column of a telling name."""
        found = [column for column in self.columns if column.payload]
        found.sort(key=lambda column: (column.type != "image", not _words(column.name) & PAYLOAD_NAMES))
        return found[0] if found else None

    @property
    def kind(self) -> Kind | None:
        if self.payload is not None:
            return "table"
        return "timeseries" if self.rows >= 2 and self.of("date") and self.of("number") else None


NOTHING = Table(delimiter="", columns=(), header=False, skip=0, rows=0)


def sniff(text: str, complete: bool) -> Table:
    """The table that a text's first 64 KB hold.

    Args:
        text: decoded text without a byte order mark.
        complete: False when the text was cut off, so that its last line means nothing.

    Raises:
        RejectedError: `invalid_csv` for more than MAX_COLUMNS columns, or a quote that never closes in what is
            otherwise a table; any other text that is no table has no columns and kind None.
    """
    _check_width(text)
    sample = text if complete and len(text) <= HEAD_CHARS else _whole_lines(text[:HEAD_CHARS])
    ends = len(sample) == len(text) and complete
    declared = reader.declared_delimiter(sample)
    layouts = [_layout(sample, mark, ends) for mark in ([declared] if declared else DELIMITERS)]
    found = [layout for layout in layouts if layout is not None]
    if not found:
        return NOTHING
    _, table, error = max(found, key=lambda layout: layout[0])
    if error:
        raise error
    return table


# --- layout ----------------------------------------------------------------------------------------


def _whole_lines(sample: str) -> str:
    """The sample without its last line, which may be cut off."""
    return sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1]


def _check_width(text: str) -> None:
    first = text[:HEAD_CHARS].lstrip().split("\n", 1)[0]
    if any(first.count(mark) > MAX_COLUMNS for mark in DELIMITERS):
        raise RejectedError("invalid_csv", f"The first row has more than {MAX_COLUMNS} columns.")


Rank = tuple[bool, float, int]


def _layout(sample: str, delimiter: str, ends: bool) -> tuple[Rank, Table, RejectedError | None] | None:
    """The table under one delimiter, how convincing it is, and what is wrong with it; None when it is no table."""
    uncommented = (line for line in reader.lines(sample) if not line.startswith("#"))
    if delimiter != "," and not any(delimiter in line for line in islice(uncommented, TITLE_ROWS + 1)):
        return None
    records, comments, error = _sample(sample, delimiter)
    if len(records) - comments < 2:
        return None
    width = Counter(len(record.cells) for record in records[comments:][-SAMPLE_ROWS:]).most_common(1)[0][0]
    above = comments + _titles(records[comments:], width)
    rows = [record.cells for record in records[above:]]
    share = sum(len(row) == width for row in rows) / len(rows)
    if len(rows) < 2 or share < WIDTH_SHARE:
        return None
    table = _describe(rows, width, delimiter, above)
    if not table.header and (marked := _marked(records[:above], width)):
        above -= marked
        table = _describe([record.cells for record in records[above:]], width, delimiter, above)
    if not _convincing(table, share):
        return None
    titles = [record.cells for record in records[comments:above] if not record.marked]
    if titles and len(titles[-1]) > 1 and not table.header:
        error = RejectedError(
            "invalid_csv",
            f"The header names {len(titles[-1])} columns but the rows have {width} cells: "
            "a delimiter is also used inside the cells.",
        )
    elif not ends:
        error = None
    typed = sum(column.type in ("date", "number", "image") for column in table.columns)
    return (table.kind == "timeseries", share + typed / width, width), table, error


def _sample(text: str, delimiter: str) -> tuple[list[Record], int, RejectedError | None]:
    """The first records, how many of them are comments above all others, and what ended the reading early."""
    sample: list[Record] = []
    comments = 0
    try:
        for record in reader.records(reader.lines(text), delimiter, strict=True):
            comments += record.marked and comments == len(sample)
            sample.append(record)
            if len(sample) - comments == SAMPLE_ROWS:
                break
    except RejectedError as error:
        return sample, comments, error
    return sample, comments if comments < len(sample) else 0, None


def _titles(records: list[Record], width: int) -> int:
    """How many records stand above the table: the first ones, narrower than it, up to a row of its width.

    A row just one cell short is the header of rows that end with a delimiter. Comments do not count.
    """
    ends_with_delimiter = not any(len(record.cells) == width and record.cells[-1].strip() for record in records)
    titles = 0
    for index, record in enumerate(records):
        if record.marked and titles:
            continue
        if len(record.cells) >= width or (len(record.cells) == width - 1 > 1 and ends_with_delimiter):
            return index
        titles += 1
        if titles > TITLE_ROWS:
            break
    return 0


def _marked(above: list[Record], width: int) -> int:
    """How many of the last records above a table without a header are marked as comments but have its width.

    The first of them is its header, or all are rows: `#date,value`, or the order numbers `#1`, `#2`, `3`.
    """
    return sum(1 for _ in takewhile(lambda record: record.marked and len(record.cells) == width, reversed(above)))


def _describe(rows: list[Row], width: int, delimiter: str, above: int) -> Table:
    first, rest = rows[0], rows[1:]
    evidence = [row for row in rest if len(row) > 1] if width > 1 else rest  # a single cell is a note
    columns = [_column(index, first, evidence, delimiter) for index in range(width)]
    if columns and columns[-1].type == "empty" and not _at(first, width - 1):
        columns.pop()  # rows that end with a delimiter
    header = _is_header(first, columns)
    if not header:
        columns = [replace(column, name=f"column {column.index + 1}") for column in columns]
    columns = [replace(column, payload=_is_payload(column, columns, rest, header)) for column in columns]
    return Table(delimiter, tuple(columns), header, above + header, len(rows) - header)


def _convincing(table: Table, share: float) -> bool:
    """Keeps prose with commas out: a table has typed columns, or a header over rows of one width."""
    if len(table.columns) == 1:
        only = table.columns[0]
        return only.type == "image" or (table.header and only.name.casefold() in PAYLOAD_NAMES and share == 1)
    if all(column.type == "empty" for column in table.columns):
        return False
    typed = any(column.type in ("date", "number", "image") for column in table.columns)
    named = table.header and any(_words(column.name) & (PAYLOAD_NAMES | OTHER_NAMES) for column in table.columns)
    return named or (share >= SHARE and (typed or table.header)) or (table.kind == "timeseries")


# --- columns ---------------------------------------------------------------------------------------


def _column(index: int, first: Row, rest: list[Row], delimiter: str) -> Column:
    column = Column(_at(first, index) or f"column {index + 1}", index, "empty")
    cells = [cell for row in rest if (cell := column.cell(row))]
    if not cells:
        return column
    if sum(cell.startswith("gs://") for cell in cells) >= SHARE * len(cells):
        return replace(column, type="image")
    if dates.formats(cells, column.name):
        return replace(column, type="date")
    # German spreadsheets separate with semicolons because the comma is taken.
    convention = numbers.convention(cells, preferred="," if delimiter == ";" and "," in "".join(cells) else ".")
    if convention:
        return replace(column, type="number", decimal=convention.decimal, certain=convention.certain)
    return replace(column, type="text")


def _is_header(first: Row, columns: Sequence[Column]) -> bool:
    names = [_at(first, column.index) for column in columns]
    if any(_contradicts(column, name) for column, name in zip(columns, names, strict=True)):
        return True
    if not all(_is_name(name) for name in names) or len(set(names)) < len(names):
        return False
    return any(_words(name) & (PAYLOAD_NAMES | OTHER_NAMES) for name in names)


def _contradicts(column: Column, cell: str) -> bool:
    """Whether a column's first cell is of another type than the rest, as a name is."""
    if not cell or cell.casefold() in MISSING:
        return False
    cell = cell.lstrip("# ") or cell  # an order number, or a header in a comment
    match column.type:
        case "image":
            return not cell.startswith("gs://")
        case "number":
            return numbers.number(cell, column.decimal) is None
        case "date":
            return not dates.formats([cell], "date")
        case _:
            return False


def _is_name(cell: str) -> bool:
    return len(cell) <= 40 and len(cell.split()) <= 4 and bool(re.search(r"\w", cell)) and cell[-1] not in ".!?:"


def _is_payload(column: Column, columns: Sequence[Column], rows: list[Row], header: bool) -> bool:
    """Whether a model is to read this column; beside dates and numbers it takes sentences, not just a name."""
    if column.type != "text":
        return column.type == "image"
    cells = [cell for row in rows if (cell := column.cell(row))]
    words = sum(len(cell.split()) for cell in cells) / len(cells)
    types = {other.type for other in columns}
    if {"date", "number"} <= types:
        return words >= 4 and len(cells) >= 0.5 * len(rows) and len(set(cells)) > 0.5 * len(cells)
    return words >= 2.5 or (header and bool(_words(column.name) & PAYLOAD_NAMES))


def _at(row: Row, index: int) -> str:
    return row[index].strip() if index < len(row) else ""


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W\d_]+", name.casefold()))
