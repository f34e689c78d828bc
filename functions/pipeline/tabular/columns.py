"""The columns of a table: their names, their types, and what their cells look like."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from pipeline.errors import RejectedError
from pipeline.tabular import date_formats, dates, numbers
from pipeline.tabular.reader import Row
from pipeline.tabular.request import ANYTHING, Request
from pipeline.tabular.vocabulary import names

Type = Literal["date", "number", "text", "image", "empty"]

SHARE = 0.9  # of a column's cells that must be of its type
COUNTING = 0.8  # of a counter's steps that are alike
FEW_CELLS = 12  # that show that most columns count nothing
SAMPLE_CELLS = 50
SAMPLE_CHARS = 64
MAX_DATE_WORDS = 7  # "Mon Jan 01 2024 20:05:30 GMT"; longer cells are prose

PLAIN_DATES = ("date", "dates", "datum", "datetime", "timestamp", "fecha")
MISSING = frozenset(
    (
        *("", "-", "--", "–", "—", ".", "..", "...", "…", ":", "?", "\\n"),
        *("na", "n/a", "n.a.", "<na>", "nan", "nat", "null", "(null)", "none", "nil", "missing"),
        *("#n/a", "#na", "#value!", "#ref!", "#div/0!", "#num!", "#name?", "#null!"),
    )
)
WORD = re.compile(r"(?<!\S)(?:[^\w\s]|[\d_])*+[^\W\d_]")  # up to its first letter; numbers and dates have none
WHOLE = re.compile(r"[+-]?\d{1,18}")
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class Column:
    """One column, described by a sample of its cells.

    Args:
        unnamed: whether the header leaves its cell empty; `name` is then its position, such as "column 1".
        decimal: the decimal separator of numbers.
        certain: whether the cells leave no doubt about the separator.
        readable: whether a known format reads its dates.
        fill: the share of rows with a cell.
        distinct: the share of cells that differ from all before.
        length: the mean number of words in a cell of texts.
        is_constant: whether all of at least three cells are equal.
        is_counter: whether each number follows from the one before by the same step.
        sample: the beginnings of the first cells.
    """

    name: str
    index: int
    type: Type
    unnamed: bool = False
    decimal: str = "."
    certain: bool = True
    readable: bool = True
    fill: float = 0.0
    distinct: float = 1.0
    length: float = 0.0
    is_constant: bool = False
    is_counter: bool = False
    sample: tuple[str, ...] = field(default=(), repr=False)

    def cell(self, row: Row) -> str:
        """The row's stripped cell in this column, "" if it is absent or a mark for a missing value."""
        return present(at(row, self.index))


def unnamed_name(index: int) -> str:
    return f"column {index + 1}"


def at(row: Row, index: int) -> str:
    return row[index].strip() if index < len(row) else ""


def present(cell: str) -> str:
    return "" if cell.casefold() in MISSING else cell


def is_value(cell: str) -> bool:
    """Whether the cell is a number or a date, in whichever form."""
    cell = cell.strip()
    return any(numbers.number(cell, decimal) is not None for decimal in ".,") or bool(dates.formats([cell], "date"))


def describe(
    columns: Sequence[str], rows: Sequence[Row], *, preferred: str = ".", request: Request = ANYTHING
) -> list[Column]:
    """The columns of the given names, each described by its cells in the rows.

    Args:
        columns: the names; "" for a column without one.
        rows: a sample; short rows lack their last cells.
        preferred: the decimal separator where a column's numbers fit either, if they contain it.
    """
    return [_column(name, index, rows, preferred, request) for index, name in enumerate(columns)]


def _column(name: str, index: int, rows: Sequence[Row], preferred: str, request: Request) -> Column:
    cells = [cell for row in rows if (cell := present(at(row, index)))]
    unnamed = not name
    name = name or unnamed_name(index)
    if not cells:
        return Column(name, index, "empty", unnamed)
    different = len(set(cells))
    kind, readable = _type(name, cells, request)
    preferred = preferred if any(preferred in cell for cell in cells) else "."
    convention = numbers.convention(cells, preferred) if kind is None else None
    if convention:
        kind = "number"
    return Column(
        name=name,
        index=index,
        type=kind or "text",
        unnamed=unnamed,
        decimal=convention.decimal if convention else ".",
        certain=convention.certain if convention else True,
        readable=readable,
        fill=len(cells) / len(rows),
        distinct=different / len(cells),
        length=0.0 if kind else sum(map(length, cells)) / len(cells),
        is_constant=len(cells) > 2 and different == 1,
        is_counter=bool(convention) and _is_counter(cells),
        sample=tuple(cell[:SAMPLE_CHARS] for cell in cells[:SAMPLE_CELLS]),
    )


def _type(name: str, cells: Sequence[str], request: Request) -> tuple[Type | None, bool]:
    """The type, None for numbers and texts, and whether dates can be read."""
    if sum(cell.startswith("gs://") for cell in cells) >= SHARE * len(cells):
        return "image", True
    is_requested = same_name(name, request.date_column)
    if request.date_format and (is_requested or request.date_column is None):
        form = date_formats.requested(request.date_format)
        if sum(form.parse(cell) is not None for cell in cells) >= SHARE * len(cells):
            return "date", True
    if dates.formats(cells, name):
        return "date", True
    if is_requested or (names.is_undated(name) and _are_undated(name, cells)):
        return "date", False
    return None, True


def _are_undated(name: str, cells: Sequence[str]) -> bool:
    """Whether the cells of a column that is named like a date may be dates of an unknown format.

    Numbers are, such as a spreadsheet's, only under a name of no other meaning.
    """
    if numbers.convention(cells) is not None:
        return name.strip().casefold() in PLAIN_DATES and not _is_counter(cells)
    return sum(len(cell.split()) for cell in cells) <= MAX_DATE_WORDS * len(cells)


def same_name(name: str, requested: str | None) -> bool:
    return requested is not None and name.strip().casefold() == requested.strip().casefold()


def named(columns: Iterable[Column], name: str) -> Column:
    """The column of a name, whose case matters only if two names differ in nothing else.

    Raises:
        RejectedError: `no_usable_column`.
    """
    columns = list(columns)
    matching = [column for column in columns if same_name(column.name, name)]
    if matching:
        return next((column for column in matching if column.name == name), matching[0])
    known = ", ".join(column.name for column in columns)
    raise RejectedError("no_usable_column", f"The file has no column {name!r:.300}. Its columns are {known:.600}.")


def length(cell: str) -> float:
    """The number of words; in scripts without spaces two characters count as one."""
    count = len(WORD.findall(cell))
    return count if cell.isascii() else count + len(UNSPACED.findall(cell)) / 2


def _is_counter(cells: Sequence[str]) -> bool:
    """Whether whole numbers count the rows: up or down by the same step, apart from gaps and new beginnings."""
    if len(cells) > FEW_CELLS and not _is_counter(cells[:FEW_CELLS]):
        return False
    if len(cells) < 3 or not all(map(WHOLE.fullmatch, cells)):
        return False
    steps = Counter(int(after) - int(before) for before, after in pairwise(cells))
    step, count = steps.most_common(1)[0]
    return step != 0 and count >= COUNTING * (len(cells) - 1)
