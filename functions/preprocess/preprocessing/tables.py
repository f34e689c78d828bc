"""Opens a CSV input as a stream of rows, each with as many cells as the header."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipeline.formats import text
from pipeline.inputs import objects
from pipeline.jobs.job import Input
from pipeline.tabular import reader, sniffer
from pipeline.tabular.reader import MAX_LINE_CHARS, Reader, Record, Row, State
from pipeline.tabular.request import Request
from pipeline.tabular.selection import Choice
from pipeline.tabular.table import Table
from pipeline.tabular.writer import Dialect


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A CSV being read: its layout, its header, its rows one by one, those that cannot be read included, its form.

    `position` tells between two rows where the next one begins.
    """

    table: Table
    header: Row
    records: Iterator[Record]
    dialect: Dialect
    position: Callable[[], dict[str, Any]]


@contextmanager
def opened(
    source: Input, head: objects.Head, limit: int, request: Request, position: dict[str, Any] | None = None
) -> Iterator[OpenTable]:
    """Opens a CSV at its first row of data, or at a position that an earlier reading told.

    A short row is padded. In a long row, everything past the last column belongs to that column, delimiters
    included: usually it is text with unquoted commas.
    """
    charset = objects.charset(source)
    sample = text.decode_head(head.data, charset, whole=head.whole)
    table = sniffer.sniff(sample, head.whole, request, declared=True)
    delimiter = table.delimiter or ","
    with objects.reader(source, limit, packed=head.packed) as stream:
        codec = text.encoding(head.data, charset, whole=head.whole).codec
        lines = text.Lines(stream, codec, MAX_LINE_CHARS, newline=reader.newline(sample))
        rows = Reader(lines, delimiter)
        records = iter(rows)
        above = [record.cells for record in islice(records, table.skip)]
        if position:
            lines.seek(position["line"])
            rows = Reader(lines, delimiter, State(*position["rows"]))
            records = iter(rows)
        is_plain = table.header and table.header_rows == 1
        header = above[-1] if is_plain else [column.name for column in table.columns]
        dialect = Dialect.of(sample, codec, delimiter, decimal=table.decimal)
        fitted = _fitted(records, len(header), delimiter)
        yield OpenTable(table, header, fitted, dialect, lambda: {"line": lines.position, "rows": list(rows.state)})


def description(table: Table, choice: Choice) -> dict[str, Any]:
    """How the table was read: the column, the other candidates, and notes for the user."""
    assert choice.payload is not None
    column, others = choice.payload, list(choice.considered)
    parameter = "image_column" if column.type == "image" else "text_column"
    notes = []
    if others:
        names = ", ".join(others)
        notes.append(f"Column {column.name!r} was read. The parameter text_column selects another ({names:.200}).")
    return {
        parameter: column.name,
        "delimiter": table.delimiter,
        "considered": others,
        "notes": [*notes, *table.notes],
    }


def _fitted(records: Iterable[Record], width: int, delimiter: str) -> Iterator[Record]:
    for record in records:
        row = record.cells
        if len(row) < width:
            row.extend([""] * (width - len(row)))
        elif len(row) > width:
            row[width - 1 :] = [delimiter.join(row[width - 1 :]).rstrip(delimiter)]
        yield record
