"""Recognises a table in the first lines of a text: its delimiter, its header, its columns, and its kind."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import NamedTuple

from pipeline.errors import RejectedError
from pipeline.tabular import columns, headers, names, reader, selection
from pipeline.tabular.columns import SHARE, Column, Type
from pipeline.tabular.reader import HEAD_CHARS, MAX_COLUMNS, Record, Row
from pipeline.tabular.request import ANYTHING, Request
from pipeline.tabular.selection import Choice

DELIMITERS = (";", "\t", ",", "|")
SAMPLE_ROWS = 400
TITLE_ROWS = 20  # at most above the table
WIDTH_SHARE = 0.75  # of the rows that must have the table's width


@dataclass(frozen=True, slots=True)
class Table:
    """The layout of a table.

    Args:
        columns: empty if the text is not a table.
        skip: records above the data: comments, titles and the header.
        rows: data rows in the sample, not in the whole text.
    """

    delimiter: str
    columns: tuple[Column, ...]
    header: bool
    skip: int
    rows: int

    def of(self, kind: Type) -> list[Column]:
        return [column for column in self.columns if column.type == kind]

    @property
    def decimal(self) -> str:
        """The decimal separator of its numbers."""
        return "," if any(column.decimal == "," for column in self.of("number")) else "."

    @property
    def typed(self) -> int:
        """How many columns have a type that prose does not have."""
        return sum(column.type in ("date", "number", "image") and column.readable for column in self.columns)

    @property
    def undated(self) -> Column | None:
        """A column of dates in no known format."""
        return next((column for column in self.columns if not column.readable), None)

    def choice(self, request: Request = ANYTHING) -> Choice:
        """What the columns are for. Raises RejectedError, as `selection.choose` does."""
        return selection.choose(self.columns, self.rows, request)


NOTHING = Table(delimiter="", columns=(), header=False, skip=0, rows=0)


def sniff(text: str, complete: bool, request: Request = ANYTHING, *, declared: bool = False) -> Table:
    """Recognises the table in a text's first 64 KB.

    Args:
        text: decoded text without a byte order mark.
        complete: False if the text was cut off, so that its last line is ignored.
        declared: whether the text is said to be a table, so that doubtful evidence is enough.

    Returns:
        The table; without columns if the text is not one.

    Raises:
        RejectedError: `invalid_csv` for more than MAX_COLUMNS columns, or for a table with a quote that never closes;
            `invalid_date_format` for a pattern that is not one.
    """
    _check_width(text)
    sample = text if complete and len(text) <= HEAD_CHARS else _whole_lines(text[:HEAD_CHARS])
    is_whole = len(sample) == len(text) and complete
    mark = reader.declared_delimiter(sample)
    layouts = [_layout(sample, delimiter, is_whole, request) for delimiter in ([mark] if mark else DELIMITERS)]
    candidates = [layout for layout in layouts if layout is not None]
    convincing = [layout for layout in candidates if _is_convincing(layout.table, layout.share)]
    best = max(convincing, key=lambda layout: layout.rank, default=None)
    if best is None or not best.table.header:
        best = _column_of_texts(sample, request) or best
    if best is None and declared:
        doubtful = [layout for layout in candidates if request.kind or _is_possible(layout, sample)]
        best = max(doubtful, key=lambda layout: layout.rank, default=None)
    if best is None:
        return NOTHING
    if best.error:
        raise best.error
    return best.table


def _whole_lines(sample: str) -> str:
    """The sample without its last line, which may be cut off."""
    return sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1]


def _check_width(text: str) -> None:
    first = text[:HEAD_CHARS].lstrip().split("\n", 1)[0]
    if any(first.count(mark) > MAX_COLUMNS for mark in DELIMITERS):
        raise RejectedError("invalid_csv", f"The first row has more than {MAX_COLUMNS:,} columns.")


class _Layout(NamedTuple):
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


def _layout(text: str, delimiter: str, is_whole: bool, request: Request) -> _Layout | None:
    uncommented = (line for line in reader.lines(text) if not line.startswith("#"))
    if delimiter != "," and not any(delimiter in line for line in islice(uncommented, TITLE_ROWS + 1)):
        return None
    sample = _sample(text, delimiter)
    body = sample.records[sample.comments :]
    if len(body) < 2:
        return None
    width = Counter(len(record.cells) for record in body[-SAMPLE_ROWS:]).most_common(1)[0][0]
    titles = _titles(body, width)
    share = sum(len(record.cells) == width for record in body[titles:]) / len(body[titles:])
    if len(body[titles:]) < 2 or share < WIDTH_SHARE:
        return None
    above = sample.comments + titles
    table = _table(sample.records, above, width, delimiter, request)
    if not table.header and (marked := _marked(sample.records[:above], width)):
        table = _table(sample.records, above - marked, width, delimiter, request)
    error = sample.error if is_whole else None
    if not table.header:
        error = _short_header([record.cells for record in body[:titles] if not record.marked], width) or error
    return _Layout(table, share, error)


def _column_of_texts(text: str, request: Request) -> _Layout | None:
    """The table of one column with a name such as `text`, whose texts may contain delimiters."""
    first = next((line for line in reader.lines(text) if line.strip() and not line.startswith("#")), "").strip()
    if any(mark in first for mark in DELIMITERS) or not names.is_text(first.strip('"')):
        return None
    sample = _sample(text, ",")
    body = sample.records[sample.comments :]
    if len(body) < 2:
        return None
    table = _table(sample.records, sample.comments, 1, ",", request)
    return _Layout(table, 1.0, None) if table.header else None


class _Sample(NamedTuple):
    """The first records, how many of them are comments above everything else, and what ended the reading early."""

    records: list[Record]
    comments: int
    error: RejectedError | None = None


def _sample(text: str, delimiter: str) -> _Sample:
    records: list[Record] = []
    comments = 0
    try:
        for record in reader.records(reader.lines(text), delimiter, strict=True):
            comments += record.marked and comments == len(records)
            records.append(record)
            if len(records) - comments == SAMPLE_ROWS:
                break
    except RejectedError as error:
        return _Sample(records, comments, error)
    return _Sample(records, comments if comments < len(records) else 0)


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


def _table(records: list[Record], above: int, width: int, delimiter: str, request: Request) -> Table:
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


def _is_convincing(table: Table, share: float) -> bool:
    """Excludes prose with commas: a table has typed columns, or a header above rows of one width."""
    if len(table.columns) == 1:
        only = table.columns[0]
        is_named = table.header and (names.is_text(only.name) or names.is_prose(only.name))
        return only.type == "image" or (is_named and share == 1)
    if all(column.type == "empty" for column in table.columns):
        return False
    if table.header and any(names.is_known(column.name) for column in table.columns):
        return True
    is_series = table.choice().kind == "timeseries"
    return (share >= SHARE and (table.typed > 0 or table.header)) or is_series


def _is_possible(layout: _Layout, text: str) -> bool:
    """Whether a text that is said to be a table may be one: it has several columns, a header, or quotes."""
    table = layout.table
    if len(table.columns) == 1:
        return layout.share == 1 and (table.header or text.lstrip().startswith('"'))
    return layout.share >= SHARE and any(column.type != "empty" for column in table.columns)
