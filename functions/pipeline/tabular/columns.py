"""The columns of a table: their names and types, and whether its first row names them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.tabular import dates, numbers
from pipeline.tabular.reader import Row

Type = Literal["date", "number", "text", "image", "empty"]

SHARE = 0.9  # of a column's cells that must be of its type


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
    """One column.

    Args:
        decimal: the decimal separator of numbers.
        certain: whether the cells leave no doubt about the separator.
        payload: whether it holds texts or images for a model, rather than names or notes.
    """

    name: str
    index: int
    type: Type
    decimal: str = "."
    certain: bool = True
    payload: bool = False

    def cell(self, row: Row) -> str:
        """The row's stripped cell in this column, "" if it is absent or a mark for a missing value."""
        cell = _at(row, self.index)
        return "" if cell.casefold() in MISSING else cell


def describe(rows: list[Row], width: int, delimiter: str) -> tuple[list[Column], bool]:
    """The columns of a table, and whether the first of its rows is the header."""
    first, rest = rows[0], rows[1:]
    evidence = [row for row in rest if len(row) > 1] if width > 1 else rest  # a single cell is a note
    columns = [_column(index, first, evidence, delimiter) for index in range(width)]
    if columns and columns[-1].type == "empty" and not _at(first, width - 1):
        columns.pop()  # the rows end with a delimiter
    header = _is_header(first, columns)
    if not header:
        columns = [replace(column, name=f"column {column.index + 1}") for column in columns]
    return [replace(column, payload=_is_payload(column, columns, rest, header)) for column in columns], header


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
    return any(words(name) & (PAYLOAD_NAMES | OTHER_NAMES) for name in names)


def _contradicts(column: Column, cell: str) -> bool:
    """Whether a column's first cell differs in type from the rest, as a name does."""
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
    """Whether the column is input for a model; in a table with dates and numbers only sentences are, names are not."""
    if column.type != "text":
        return column.type == "image"
    cells = [cell for row in rows if (cell := column.cell(row))]
    length = sum(len(cell.split()) for cell in cells) / len(cells)  # in words
    types = {other.type for other in columns}
    if {"date", "number"} <= types:
        return length >= 4 and len(cells) >= 0.5 * len(rows) and len(set(cells)) > 0.5 * len(cells)
    return length >= 2.5 or (header and bool(words(column.name) & PAYLOAD_NAMES))


def _at(row: Row, index: int) -> str:
    return row[index].strip() if index < len(row) else ""


def words(name: str) -> set[str]:
    return set(re.split(r"[\W\d_]+", name.casefold()))
