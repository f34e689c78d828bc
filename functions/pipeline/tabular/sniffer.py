"""Recognises a table in the first lines of a text: its delimiter, its header, its columns, and its kind."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Literal, NamedTuple

from pipeline.errors import RejectedError
from pipeline.tabular import reader
from pipeline.tabular.columns import OTHER_NAMES, PAYLOAD_NAMES, SHARE, Column, Type, describe, words
from pipeline.tabular.reader import HEAD_CHARS, MAX_COLUMNS, Record, Row

Kind = Literal["timeseries", "table"]

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
        return sum(column.type in ("date", "number", "image") for column in self.columns)

    @property
    def payload(self) -> Column | None:
        """The column for a model: an image column first, then a text column with a name such as "review"."""
        candidates = [column for column in self.columns if column.payload]
        candidates.sort(key=lambda column: (column.type != "image", not words(column.name) & PAYLOAD_NAMES))
        return candidates[0] if candidates else None

    @property
    def kind(self) -> Kind | None:
        if self.payload is not None:
            return "table"
        return "timeseries" if self.rows >= 2 and self.of("date") and self.of("number") else None


NOTHING = Table(delimiter="", columns=(), header=False, skip=0, rows=0)


def sniff(text: str, complete: bool) -> Table:
    """Recognises the table in a text's first 64 KB.

    Args:
        text: decoded text without a byte order mark.
        complete: False if the text was cut off, so that its last line is ignored.

    Returns:
        The table; without columns and kind if the text is not one.

    Raises:
        RejectedError: `invalid_csv` for more than MAX_COLUMNS columns, or for a table with a quote that never closes.
    """
    _check_width(text)
    sample = text if complete and len(text) <= HEAD_CHARS else _whole_lines(text[:HEAD_CHARS])
    is_whole = len(sample) == len(text) and complete
    declared = reader.declared_delimiter(sample)
    layouts = [_layout(sample, mark, is_whole) for mark in ([declared] if declared else DELIMITERS)]
    best = max((layout for layout in layouts if layout is not None), key=lambda layout: layout.rank, default=None)
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
    """The table under one delimiter, how convincing it is, and what is wrong with it."""

    table: Table
    rank: tuple[bool, float, int]
    error: RejectedError | None


def _layout(text: str, delimiter: str, is_whole: bool) -> _Layout | None:
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
    table = _table(sample.records, above, width, delimiter)
    if not table.header and (marked := _marked(sample.records[:above], width)):
        table = _table(sample.records, above - marked, width, delimiter)
    if not _is_convincing(table, share):
        return None
    error = sample.error if is_whole else None
    if not table.header:
        error = _short_header([record.cells for record in body[:titles] if not record.marked], width) or error
    return _Layout(table, (table.kind == "timeseries", share + table.typed / width, width), error)


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


def _table(records: list[Record], above: int, width: int, delimiter: str) -> Table:
    rows = [record.cells for record in records[above:]]
    columns, header = describe(rows, width, delimiter)
    return Table(delimiter, tuple(columns), header, above + header, len(rows) - header)


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
        return only.type == "image" or (table.header and only.name.casefold() in PAYLOAD_NAMES and share == 1)
    if all(column.type == "empty" for column in table.columns):
        return False
    has_known_names = table.header and any(
        words(column.name) & (PAYLOAD_NAMES | OTHER_NAMES) for column in table.columns
    )
    return has_known_names or (share >= SHARE and (table.typed > 0 or table.header)) or table.kind == "timeseries"
