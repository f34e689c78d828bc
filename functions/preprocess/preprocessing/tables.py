"""Streams the rows of a CSV input, each with as many cells as the header, or with the reason why it cannot be read."""

import csv
import io
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from pipeline.errors import RejectedError
from pipeline.formats.text import ERRORS, decode_head, encoding
from pipeline.inputs import objects
from pipeline.jobs.job import Input
from pipeline.tabular import sniffer
from pipeline.tabular.rows import MAX_COLUMNS, MAX_RECORD_CHARS, is_open

KEPT_CHARS = 1000  # of a line that cannot be read

Row = list[str]


@dataclass(frozen=True, slots=True)
class Record:
    """One row; `refusal` says why it cannot be read, and its cells are then what there is of it."""

    cells: Row
    refusal: RejectedError | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A CSV being read: what its head says it is, and its rows one by one."""

    table: sniffer.Table
    header: Row
    records: Iterator[Record]


@contextmanager
def reader(source: Input, head: objects.Head, limit: int) -> Iterator[Opened]:
    """Opens a CSV; titles above the table and blank lines are left out, ragged rows are not.

    A row that is too short is filled up. In one that is too long, everything past the last column goes into that, with
    the delimiters between, as a comma that nobody quoted reads.
    """
    table = sniffer.sniff(decode_head(head.data, whole=head.whole), head.whole)
    delimiter = table.delimiter or ","
    with objects.reader(source, limit, packed=head.packed) as stream:
        records = iter(_Records(text_of(stream, encoding(head.data, whole=head.whole)), delimiter))
        above = [record.cells for record in itertools.islice(_without_comments(records), table.skip)]
        header = above[-1] if table.header else [column.name for column in table.columns]
        yield Opened(table, header, _fitted(records, len(header), delimiter))


def text_of(stream: IO[bytes], codec: str) -> IO[str]:
    return io.TextIOWrapper(stream, encoding=codec, errors=ERRORS, newline="")


def lines(stream: IO[str], limit: int) -> Iterator[str]:
    """The stream's lines with their ends; one of more than `limit` characters comes cut to one more than that."""
    while line := stream.readline(limit + 1):
        yield line
        while len(line) > limit and not line.endswith(("\n", "\r")) and (rest := stream.readline(limit + 1)):
            line = rest


class _Records:
    """Reads on past broken records: what follows a quote that never closes is read as if that were none."""

    def __init__(self, stream: IO[str], delimiter: str) -> None:
        self._lines = lines(stream, MAX_RECORD_CHARS)
        self._again: deque[str] = deque()
        self._delimiter = delimiter
        self._read: list[str] = []  # lines of the record under way
        self._size = 0

    def __iter__(self) -> Iterator[Record]:
        reader = csv.reader(self._feed(), delimiter=self._delimiter)
        while True:
            self._read, self._size = [], 0
            try:
                cells = next(reader, None)
                if cells is None:
                    return
                refusal = self._refusal(cells)
            except csv.Error as error:
                cells, refusal = [], RejectedError("invalid_csv", f"The row cannot be parsed: {error}.")
            except _BrokenError as error:
                cells, refusal = [], error.refusal
            if refusal:
                self._again.extendleft(reversed(self._read[1:]))
                yield Record(self._unquoted(self._read[0]), refusal)
                reader = csv.reader(self._feed(), delimiter=self._delimiter)
            elif any(cell.strip() for cell in cells):
                yield Record(cells)

    def _feed(self) -> Iterator[str]:
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
            if line is None:
                return
            self._read.append(line)
            self._size += len(line)
            if self._size > MAX_RECORD_CHARS:
                too_long = RejectedError("too_large", f"The row has more than {MAX_RECORD_CHARS:,} characters.")
                raise _BrokenError(too_long if len(self._read) == 1 else _unclosed())
            yield line

    def _refusal(self, cells: Row) -> RejectedError | None:
        if len(cells) > MAX_COLUMNS:
            return RejectedError("invalid_csv", f"The row has more than {MAX_COLUMNS} columns.")
        if len(self._read) > 1 and not self._ended() and is_open(self._read, self._delimiter):
            return _unclosed()
        return None

    def _ended(self) -> bool:
        """Whether more lines follow, so that the record was closed."""
        if not self._again and (line := next(self._lines, None)) is not None:
            self._again.append(line)
        return bool(self._again)

    def _unquoted(self, line: str) -> Row:
        text = line[:KEPT_CHARS].rstrip("\r\n").replace("\0", "")
        return next(csv.reader([text], delimiter=self._delimiter, quoting=csv.QUOTE_NONE), [])


class _BrokenError(Exception):
    def __init__(self, refusal: RejectedError) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def _unclosed() -> RejectedError:
    return RejectedError("invalid_csv", "A quoted field that begins in this row never ends.")


def _fitted(records: Iterable[Record], width: int, delimiter: str) -> Iterator[Record]:
    for record in records:
        row = record.cells
        if len(row) < width:
            row.extend([""] * (width - len(row)))
        elif len(row) > width:
            row[width - 1 :] = [delimiter.join(row[width - 1 :]).rstrip(delimiter)]
        yield record


def _without_comments(records: Iterable[Record]) -> Iterator[Record]:
    """What stands above the data, counted as the sniffing counts it."""
    for index, record in enumerate(records):
        first = record.cells[0] if record.cells else ""
        is_separator = index == 0 and first.casefold().startswith("sep=")
        if not first.startswith("#") and not is_separator:
            yield record
