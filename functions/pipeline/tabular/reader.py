"""Reads the rows of delimited text one by one, in bounded memory and linear time, whatever the text is."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from pipeline.errors import RejectedError

MAX_COLUMNS = 2_000
MAX_ROW_CHARS = 128 * 1024  # over several lines: a quoted field that runs longer was never closed
MAX_LINE_CHARS = 1024 * 1024  # of a row on one line, which may hold a photo
HEAD_CHARS = 64 * 1024  # of a text, by which its line endings are judged
KEPT_CHARS = 1_000  # of a row that cannot be read

END_OF_QUOTE = re.compile(r'"(?=[\t\r\n]|\Z)')

csv.field_size_limit(MAX_LINE_CHARS)

Row = list[str]


class Record(NamedTuple):
    """One row as it stands in the text.

    Args:
        refusal: why the row cannot be read; `cells` are then the beginning of its first line.
        marked: whether the row begins with an unquoted `#`, as comments do.
    """

    cells: Row
    refusal: RejectedError | None = None
    marked: bool = False


def records(source: Iterable[str], delimiter: str, *, strict: bool) -> Iterator[Record]:
    """Reads all rows but blank ones and a leading `sep=` line.

    Args:
        source: the lines with their endings, split as `newline` says.
        strict: raise the first refusal. Otherwise the row has it, and reading continues on the row's second line.

    Raises:
        RejectedError: `invalid_csv` or `too_large`, if strict.
    """
    for record in Reader(source, delimiter):
        if strict and record.refusal:
            raise record.refusal
        yield record


def newline(head: str) -> str:
    """The `newline` to open a text with that begins with `head`: lone carriage returns end lines only in old files."""
    return "\n" if "\n" in head[:HEAD_CHARS] else ""


def lines(text: str) -> Iterator[str]:
    """The lines of a text one by one, each with its ending."""
    if not newline(text):
        yield from io.StringIO(text, newline="")
        return
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def declared_delimiter(text: str) -> str | None:
    """The delimiter that a leading `sep=;` line declares, as Excel writes it."""
    first = text[:8].lstrip("\ufeff").splitlines()[:1]
    if first and first[0].casefold().startswith("sep=") and len(first[0]) == 5:
        return first[0][4]
    return None


class _OpenQuoteError(Exception):
    """The row under way has a quoted field that never ends."""


class _LiteralQuoteError(Exception):
    """The row under way has a quote that is a character of its text."""


class State(NamedTuple):
    """Where a reader is between two rows, beside the position of its source.

    Args:
        again: lines that were taken from the source and are still to be read.
        suspects: how many of them, from the first, are read on their own.
        number: the rows so far.
        delimiters: in the row before.
        commented: whether only comments were read so far.
    """

    again: Sequence[str] = ()
    suspects: int = 0
    number: int = 0
    delimiters: int = -1
    commented: bool = True


class Reader(Iterable[Record]):
    """Reads rows as `records` does, from a state on, and does not raise.

    Feeds csv.reader, which asks for another line of a row exactly while a quoted field is open.

    Quotes mean nothing in files with tabs that a database or a script wrote. One at the beginning of a row's last cell
    would swallow the rows below it up to the next one, so it is a character if the line below is a row itself.

    If the field never ends, the lines below the row's first are read again, each on its own: one of them that opens a
    quote would keep it open as far as the first did. So reading takes linear time whatever the quotes are.
    """

    def __init__(self, source: Iterable[str], delimiter: str, state: State | None = None) -> None:
        self._source = iter(source)
        self._delimiter = delimiter
        self._is_first = state is None
        again, self._suspects, self._number, self._delimiters, self._commented = state or State()
        self._again = deque(again)
        self._parsed = self._parser(self._feed())
        self._begin()

    @property
    def state(self) -> State:
        return State(list(self._again), self._suspects, self._number, self._delimiters, self._commented)

    def _begin(self) -> None:
        self._row: list[str] = []  # the lines of the row under way
        self._chars = 0
        self._alone = self._suspects > 0

    def __iter__(self) -> Iterator[Record]:
        if self._commented:
            yield from self._comments()
        while True:
            self._begin()
            try:
                cells = self._cells()
            except csv.Error as error:
                yield self._refused("invalid_csv", f"cannot be parsed: {error}")
            except _OpenQuoteError:
                yield self._unfinished()
            except _LiteralQuoteError:
                yield self._record(self._read_again())
            else:
                if cells is None:
                    return
                if len(cells) > MAX_COLUMNS:
                    yield self._refused("invalid_csv", f"has more than {MAX_COLUMNS:,} columns")
                elif any(map(str.strip, cells)):
                    yield self._record(cells)
                continue
            self._parsed = self._parser(self._feed())

    def _comments(self) -> Iterator[Record]:
        """The comments above everything else, each read on its own, since prose may hold any quotes."""
        first = next(self._source, "")
        is_declaration = self._is_first and declared_delimiter(first)
        for line in self._source if is_declaration else chain([first], self._source):
            if line.startswith("#") and len(line) <= MAX_ROW_CHARS:
                self._row = [line]
                yield self._record(next(self._parser([_unbroken(line)])))
            elif line.strip():
                self._again.append(line)
                break
        self._commented = False

    def _cells(self) -> Row | None:
        try:
            return next(self._parsed, None)
        except csv.Error:
            mended = [_unbroken(line) for line in self._row]
            self._parsed = self._parser(chain(mended, self._feed()))
            return next(self._parsed, None)

    def _parser(self, lines: Iterable[str]) -> Iterator[Row]:
        return csv.reader(lines, delimiter=self._delimiter)

    def _feed(self) -> Iterator[str]:
        while not (self._row and self._alone) and (line := self._next()) is not None:
            if self._row and self._swallows(line):
                self._again.appendleft(line)
                raise _LiteralQuoteError
            if self._row and self._chars + len(line) > MAX_ROW_CHARS:
                self._again.appendleft(line)
                break
            self._row.append(line)
            self._chars += len(line)
            if len(line) > MAX_LINE_CHARS:
                break
            yield line
        if self._row:
            is_literal = self._delimiter == "\t" and len(self._row) == 1 and self._is_open_at_its_end()
            raise _LiteralQuoteError if is_literal else _OpenQuoteError

    def _next(self) -> str | None:
        self._suspects = max(0, self._suspects - 1)
        return self._again.popleft() if self._again else next(self._source, None)

    def _swallows(self, line: str) -> bool:
        """Whether a quote in the row's last cell would take in a line that is a row by its tabs, and ends no quote."""
        is_row = self._delimiter == "\t" and line.count("\t") == self._delimiters > 0
        return is_row and self._is_open_at_its_end() and not END_OF_QUOTE.search(line)

    def _is_open_at_its_end(self) -> bool:
        first = self._row[0]
        return first.count("\t") == self._delimiters and first.rfind("\t") == first.rfind('\t"')

    def _unfinished(self) -> Record:
        if self._chars > MAX_ROW_CHARS:
            limit = MAX_LINE_CHARS if self._chars > MAX_LINE_CHARS else MAX_ROW_CHARS
            return self._refused("too_large", f"has more than {limit:,} characters")
        self._suspects = max(self._suspects, len(self._row) - 1)
        return self._refused("invalid_csv", "has a quoted field that never ends")

    def _refused(self, code: str, reason: str) -> Record:
        """The row's first line as it stands, or its beginning."""
        self._row[0] = self._row[0][:KEPT_CHARS].replace("\0", "")
        return self._record(self._read_again(), RejectedError(code, f"Row {self._number + 1} {reason}."))

    def _read_again(self) -> Row:
        """The cells of the row's first line, in which quotes are characters; the other lines are read again, the last
        of them perhaps as more than one.
        """
        self._again.extendleft(reversed(self._row[1:]))
        self._suspects = max(self._suspects, len(self._row) - 2)
        return next(csv.reader([_unbroken(self._row[0])], delimiter=self._delimiter, quoting=csv.QUOTE_NONE))

    def _record(self, cells: Row, refusal: RejectedError | None = None) -> Record:
        self._number += 1
        if refusal is None:
            self._delimiters = len(cells) - 1
        return Record(cells, refusal, self._row[0].startswith("#"))


def _unbroken(line: str) -> str:
    """The line with blanks for the carriage returns within, at which csv.reader would stop."""
    return line.rstrip("\r\n").replace("\r", " ") + "\n"
