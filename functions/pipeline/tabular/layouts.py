"""Lays a text out as a table under one delimiter: what stands above it, its header and its columns."""

from collections import Counter
from dataclasses import replace
from itertools import islice, takewhile
from typing import NamedTuple

from pipeline.errors import RejectedError
from pipeline.tabular import columns, headers, reader
from pipeline.tabular.columns import Column
from pipeline.tabular.reader import Record, Row
from pipeline.tabular.request import Request
from pipeline.tabular.table import Table

SAMPLE_ROWS = 400
TITLE_ROWS = 20  # at most above the table
WIDTH_SHARE = 0.75  # of the rows that must have the table's width


class Layout(NamedTuple):
    """The table under one delimiter, the share of rows with its width, and what is wrong with it."""

    table: Table
    share: float
    error: RejectedError | None

    @property
    def rank(self) -> tuple[bool, float, int]:
        """How convincing it is."""
        width = len(self.table.columns)
        is_series = self.table.choice().kind == "timeseries"
        return is_series, self.share + self.table.typed / max(1, width), width


def under(text: str, delimiter: str, is_whole: bool, request: Request) -> Layout | None:
    """The layout under a delimiter; None if its rows have no common width."""
    uncommented = (line for line in reader.lines(text) if not line.startswith("#"))
    if delimiter != "," and not any(delimiter in line for line in islice(uncommented, TITLE_ROWS + 1)):
        return None
    sample = beginning(text, delimiter)
    body = sample.records[sample.comments :]
    if len(body) < 2:
        return None
    width = Counter(len(record.cells) for record in body[-SAMPLE_ROWS:]).most_common(1)[0][0]
    titles = _titles(body, width)
    share = sum(len(record.cells) == width for record in body[titles:]) / len(body[titles:])
    if len(body[titles:]) < 2 or share < WIDTH_SHARE:
        return None
    above = sample.comments + titles
    table = headed(sample.records, above, width, delimiter, request)
    if not table.header and (marked := _marked(sample.records[:above], width)):
        table = headed(sample.records, above - marked, width, delimiter, request)
    error = sample.error if is_whole else None
    if not table.header:
        error = _short_header([record.cells for record in body[:titles] if not record.marked], width) or error
    return Layout(table, share, error)


class Beginning(NamedTuple):
    """The first records, how many of them are comments above everything else, and what ended the reading early."""

    records: list[Record]
    comments: int
    error: RejectedError | None = None


def beginning(text: str, delimiter: str) -> Beginning:
    records: list[Record] = []
    comments = 0
    try:
        for record in reader.records(reader.lines(text), delimiter, strict=True):
            comments += record.marked and comments == len(records)
            records.append(record)
            if len(records) - comments == SAMPLE_ROWS:
                break
    except RejectedError as error:
        return Beginning(records, comments, error)
    return Beginning(records, comments if comments < len(records) else 0)


def _titles(body: list[Record], width: int) -> int:
    """How many records of the body are above the table: those before the first of the table's width.

    A row one cell short is the header of rows that end with a delimiter. Comments do not count towards TITLE_ROWS.
    """
    rows_end_with_delimiter = not any(len(record.cells) == width and record.cells[-1].strip() for record in body)
    titles = 0
    for index, record in enumerate(body):
        if record.marked and titles:
            continue
        if len(record.cells) >= width or (len(record.cells) == width - 1 > 1 and rows_end_with_delimiter):
            return index
        titles += 1
        if titles > TITLE_ROWS:
            break
    return 0


def _marked(above: list[Record], width: int) -> int:
    """How many records directly above a table without a header begin with `#` but have the table's width.

    They are not comments: the first is the header (`#date,value`), or all are rows (the order number `#1`).
    """
    return sum(1 for _ in takewhile(lambda record: record.marked and len(record.cells) == width, reversed(above)))


def headed(records: list[Record], above: int, width: int, delimiter: str, request: Request) -> Table:
    """The table of a given width, below a number of records above it."""
    rows = [record.cells for record in records[above:]]
    described, header = _described(rows, width, delimiter, request)
    return Table(delimiter, tuple(described), header, above + header, len(rows) - header)


def _described(rows: list[Row], width: int, delimiter: str, request: Request) -> tuple[list[Column], bool]:
    """The columns of a table, and whether the first of its rows is the header."""
    first, rest = rows[0], rows[1:]
    evidence = [row for row in rest if len(row) > 1] if width > 1 else rest  # a single cell is a note
    cells = [columns.at(first, index) for index in range(width)]
    # Semicolons separate cells because the comma is taken, as in German spreadsheets.
    preferred = "," if delimiter == ";" else "."
    described = columns.describe(cells, evidence, preferred=preferred, request=request)
    if described and described[-1].type == "empty" and not cells[-1]:
        described.pop()  # the rows end with a delimiter
    header = headers.is_header(first, described, evidence, request)
    if not header:
        unnamed = ((column, columns.unnamed_name(column.index)) for column in described)
        described = [replace(column, name=name, unnamed=False) for column, name in unnamed]
    return described, header


def _short_header(titles: list[Row], width: int) -> RejectedError | None:
    if not titles or len(titles[-1]) == 1:
        return None
    return RejectedError(
        "invalid_csv",
        f"The header has {len(titles[-1])} columns but the rows have {width} cells. Quote the cells that contain "
        "the delimiter.",
    )
