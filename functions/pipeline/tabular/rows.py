"""Reads the records of delimited text one by one, within bounds, whatever the text is."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice

from pipeline.errors import RejectedError

MAX_COLUMNS = 2_000
MAX_RECORD_CHARS = 128 * 1024  # a quoted field that runs longer was never closed


def declared_delimiter(text: str) -> str | None:
    """The delimiter that a leading `sep=;` line names, as Excel writes it."""
    first = text[:8].lstrip("\ufeff").splitlines()[:1]
    if first and first[0].casefold().startswith("sep=") and len(first[0]) == 5:
        return first[0][4]
    return None


def records(text: str, delimiter: str) -> Iterator[list[str]]:
    """All records with stripped cells, without blank lines, comment lines and a `sep=` line.

    Raises:
        RejectedError: `invalid_csv` when a quoted field never ends or a row has too many columns.
    """
    source = _Source(text, delimiter)
    reader = csv.reader(source, delimiter=delimiter)
    while True:
        source.begin()
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _unclosed(source.line) from error
        if row is None:
            return
        if source.exhausted and is_open(source.record, delimiter):
            raise _unclosed(source.line)
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield cells


def lines(text: str) -> Iterator[str]:
    """The lines of a text one by one, each with its ending; a lone carriage return ends one only in old files."""
    ending = "\n" if "\n" in text else "\r"
    start = 0
    while start < len(text):
        end = text.find(ending, start)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


class _Source:
    """Feeds lines to csv.reader, skipping what is no data where a record begins."""

    def __init__(self, text: str, delimiter: str) -> None:
        self._lines = lines(text)
        if declared_delimiter(text):
            self._lines = islice(self._lines, 1, None)
        self._delimiter = delimiter
        self.line = 0
        self.exhausted = False
        self.begin()

    def begin(self) -> None:
        self.record: list[str] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            if not self.record and (line.isspace() or line.startswith("#")):
                continue
            if not self.record:
                self.line += 1
            self.record.append(line)
            self._size += len(line)
            if self._size > MAX_RECORD_CHARS:
                raise self._oversize(line)
            if line.count(self._delimiter) > MAX_COLUMNS and line.count('"') < 2:
                raise _too_many()
            return line.rstrip("\r\n").replace("\r", " ") + "\n"
        self.exhausted = True
        raise StopIteration

    def _oversize(self, line: str) -> RejectedError:
        return _too_many() if line.count(self._delimiter) > MAX_COLUMNS else _unclosed(self.line)


def is_open(record: list[str], delimiter: str) -> bool:
    """Whether a quoted field that begins in these lines does not end in them."""
    if not any('"' in line for line in record):
        return False
    try:
        list(csv.reader(record, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _unclosed(record: int) -> RejectedError:
    return RejectedError("invalid_csv", f"A quoted field that begins in record {record} never ends.")


def _too_many() -> RejectedError:
    return RejectedError("invalid_csv", f"A row has more than {MAX_COLUMNS} columns.")


def line(cells: Iterable[object]) -> str:
    """The cells with a newline at the end; what holds a line break of any kind is quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # quotes a lone carriage return, as it does not with "\n"
    return text.getvalue()[:-2] + "\n"
