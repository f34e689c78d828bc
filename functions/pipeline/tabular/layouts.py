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
HEADER_ROWS = 3  # at most


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
    padded = _padded_titles(body, width)
    if padded:
        return padded
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


def _padded_titles(body: list[Record], width: int) -> int:
    """How many records at the top are titles that a spreadsheet filled up with empty cells: `Report,,`."""
    if width < 2 or not body:
        return 0
    titles = sum(1 for _ in takewhile(_is_padded, body[: TITLE_ROWS + 1]))
    rest = body[titles:]
    if not 0 < titles <= TITLE_ROWS or len(rest) < 2 or any(map(columns.is_value, rest[0].cells)):
        return 0
    return titles if sum(map(_is_padded, rest)) < (1 - WIDTH_SHARE) * len(rest) else 0


def _is_padded(record: Record) -> bool:
    return len(record.cells) > 1 and bool(record.cells[0].strip()) and not any(map(str.strip, record.cells[1:]))


def _marked(above: list[Record], width: int) -> int:
    """How many records directly above a table without a header begin with `#` but have the table's width.

    They are not comments: the first is the header (`#date,value`), or all are rows (the order number `#1`).
    """
    return sum(1 for _ in takewhile(lambda record: record.marked and len(record.cells) == width, reversed(above)))


def headed(records: list[Record], above: int, width: int, delimiter: str, request: Request) -> Table:
    """The table of a given width, below a number of records above it."""
    rows = [record.cells for record in records[above:]]
    described, header_rows = _described(rows, width, delimiter, request)
    count = len(rows) - header_rows
    return Table(delimiter, tuple(described), header_rows > 0, above + header_rows, count, header_rows)


def _described(rows: list[Row], width: int, delimiter: str, request: Request) -> tuple[list[Column], int]:
    """The columns of a table, and how many of its first rows are the header."""
    # Semicolons separate cells because the comma is taken, as in German spreadsheets.
    preferred = "," if delimiter == ";" else "."

    def below(count: int, names: list[str]) -> tuple[list[Column], list[Row]]:
        evidence = [row for row in rows[count:] if len(row) > 1] if width > 1 else rows[count:]  # one cell is a note
        described = columns.describe(names, evidence, preferred=preferred, request=request)
        if described and described[-1].type == "empty" and not names[-1]:
            described.pop()  # the rows end with a delimiter
        return described, evidence

    for count in range(_rows_without_values(rows), 1, -1):
        described, evidence = below(count, headers.joined(rows[:count], width))
        if headers.stacked(rows[:count], described, evidence, request):
            return described, count
    described, evidence = below(1, [columns.at(rows[0], index) for index in range(width)])
    header = headers.is_header(rows[0], described, evidence, request)
    if not header:
        unnamed = ((column, columns.unnamed_name(column.index)) for column in described)
        described = [replace(column, name=name, unnamed=False) for column, name in unnamed]
    return described, int(header)


def _rows_without_values(rows: list[Row]) -> int:
    """How many rows may form a header: at most HEADER_ROWS at the top without a number or a date, the first apart."""
    lower = takewhile(lambda row: len(row) > 1 and not any(map(columns.is_value, row)), rows[1:HEADER_ROWS])
    return min(1 + sum(1 for _ in lower), len(rows) - 2)


def _short_header(titles: list[Row], width: int) -> RejectedError | None:
    if not titles or len(titles[-1]) in (1, width):
        return None
    return RejectedError(
        "invalid_csv",
        f"The header has {len(titles[-1])} columns but the rows have {width} cells. Quote the cells that contain "
        "the delimiter.",
    )
