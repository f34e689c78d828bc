"""Reads the rows of a sheet of an Excel workbook one by one, with dates, numbers and truth values as a CSV has them."""

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import IO, Any, cast

from pipeline.errors import RejectedError
from preprocessing.cells import cell

MAX_STRINGS_BYTES = 64 << 20  # of shared texts, which the reader keeps in memory; each takes a few times its length
MAX_PART_BYTES = 2 << 30  # of a sheet, which is read as a stream
MAX_OTHER_BYTES = 16 << 20  # of styles and the like, which the reader parses whole
os.environ.setdefault("OPENPYXL_DEFUSEDXML", "False")  # expat bounds what entities expand to
STREAMED = re.compile(r"xl/(?:worksheets/[^/]+\.xml|media/.*|drawings/.*|charts/.*|pivotCache/.*|externalLinks/.*)")
STRINGS = "xl/sharedStrings.xml"
TIME_MARKS = re.compile(r"\[[^\]]*\]|\"[^\"]*\"|\\.")  # colours, literals and escapes of a number format
MAX_EMPTY_ROWS = 10_000  # after which the rest of a sheet is formatted, not filled

Row = list[str]


@contextmanager
def opened(data: IO[bytes], sheet: str | None) -> Iterator[tuple[str, Iterator[Row]]]:
    """The name and the rows of a sheet: the requested one, or the first that is not empty.

    Raises:
        RejectedError: `undecodable`, `decompression_bomb`, `empty`, or `no_usable_column` without the requested sheet.
    """
    from openpyxl.reader import excel

    try:
        _check(data)
        workbook = cast(Any, excel).load_workbook(data, read_only=True, data_only=True, keep_links=False)
    except RejectedError:
        raise
    except Exception as error:  # the reader raises KeyError, ValueError, BadZipFile, ParseError and others
        raise _damaged() from error
    try:
        yield _chosen(workbook, sheet)
    finally:
        workbook.close()


def _check(data: IO[bytes]) -> None:
    """Bounds what the archive's directory claims; nothing is read beyond a part's claim."""
    with zipfile.ZipFile(data) as archive:
        for part in archive.infolist():
            limit = MAX_PART_BYTES if STREAMED.fullmatch(part.filename) else MAX_OTHER_BYTES
            if part.filename == STRINGS:
                limit = MAX_STRINGS_BYTES
            if part.file_size > limit:
                message = (
                    f"The workbook's part {part.filename:.100} unpacks to more than {limit:,} bytes; save it as .csv."
                )
                raise RejectedError("decompression_bomb", message)


def _chosen(workbook: Any, requested: str | None) -> tuple[str, Iterator[Row]]:
    names = [sheet.title for sheet in workbook.worksheets]
    if requested is not None:
        wanted = [name for name in names if name.casefold() == requested.strip().casefold()]
        if not wanted:
            message = f"The workbook has no sheet {requested!r:.300}. Its sheets are {', '.join(names):.600}."
            raise RejectedError("no_usable_column", message)
        names = wanted[:1]
    for name in names:
        rows = _rows(workbook[name])
        first = next((row for row in rows if row), None)
        if first is not None:
            return name, chain([first], rows)
    raise RejectedError("empty", "The workbook's sheets have no cells with content.")


def _rows(sheet: Any) -> Iterator[Row]:
    """The rows up to the last one with content, each up to its last cell with content; some may be empty."""
    sheet.reset_dimensions()  # a file may claim any
    empty = 0
    try:
        for cells in sheet.iter_rows():
            row = [_text(cell) for cell in cells]
            while row and not row[-1]:
                row.pop()
            empty = 0 if row else empty + 1
            if empty > MAX_EMPTY_ROWS:
                return
            yield row
    except RejectedError:
        raise
    except Exception as error:  # as above, for what is read of the sheet only now
        raise _damaged() from error


def _text(found: Any) -> str:
    value = found.value
    if found.data_type == "e":  # an error such as #N/A is a missing value
        return ""
    if isinstance(value, datetime) and not _shows_time(found.number_format):
        return value.date().isoformat()
    return cell(value)


def _shows_time(number_format: str | None) -> bool:
    shown = TIME_MARKS.sub("", number_format or "").lower()
    return "h" in shown or "s" in shown


def _damaged() -> RejectedError:
    return RejectedError("undecodable", "The workbook is damaged and cannot be read. Save it again, or as .csv.")
