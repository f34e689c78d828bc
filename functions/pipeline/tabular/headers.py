"""Tells whether a table's first row names its columns."""

import re
from collections import Counter
from collections.abc import Sequence

from pipeline.tabular import dates, names, numbers
from pipeline.tabular.columns import Column, at, length, present, same_name
from pipeline.tabular.reader import Row
from pipeline.tabular.request import Request

REPEATED = 0.02  # of the rows below that may repeat a name, as files do that were joined
FEW = 0.5  # different cells in a column of categories
MANY = 20  # cells of categories
SENTENCE = 4  # words


def is_header(first: Row, columns: Sequence[Column], rows: Sequence[Row], request: Request) -> bool:
    """Whether `first` names the columns, which are described by the rows below it."""
    cells = [at(first, column.index) for column in columns]
    if request.columns and all(any(same_name(cell, name) for cell in cells) for name in request.columns):
        return True
    if any(_contradicts(column, cell) for column, cell in zip(columns, cells, strict=True)):
        return True
    if _is_above_categories(cells, columns, rows):
        return True
    named = [(column, cell) for column, cell in zip(columns, cells, strict=True) if cell]
    texts = [cell for _, cell in named]
    if not texts or not all(map(_is_name, texts)) or len(set(texts)) < len(texts):
        return False
    if any(_repeats(column, cell, rows) for column, cell in named):
        return False
    if any(names.is_known(cell) for cell in texts) or _leaves_the_counter_unnamed(cells, columns):
        return True
    return any(_introduces(column, cell, rows) for column, cell in named)


def are_names(cells: Sequence[str], request: Request) -> bool:
    """Whether the cells are names of columns, as far as that shows without the rows below."""
    if request.columns:
        return all(any(same_name(cell, name) for cell in cells) for name in request.columns)
    return all(map(_is_name, filter(None, cells))) and any(map(names.is_text, cells))


def _contradicts(column: Column, cell: str) -> bool:
    """Whether a column's first cell differs in type from the rest, as a name does."""
    if not present(cell):
        return False
    cell = cell.lstrip("# ") or cell  # an order number, or a header in a comment
    match column.type:
        case "image":
            return not cell.startswith("gs://")
        case "number":
            return numbers.number(cell, column.decimal) is None
        case "date":
            return not dates.formats([cell], "date") and (column.readable or not any(map(str.isdigit, cell)))
        case _:
            return False


def _is_above_categories(cells: Sequence[str], columns: Sequence[Column], rows: Sequence[Row]) -> bool:
    """Whether the first row has none of the categories below it, although another row would."""
    outside = 0.0
    for column, cell in zip(columns, cells, strict=True):
        if column.type != "text" or column.distinct > FEW or not present(cell):
            continue
        counts = Counter(other for row in rows if (other := column.cell(row)))
        if cell in counts:
            return False
        single = sum(count == 1 for count in counts.values())
        outside += counts.total() * (1 - single / counts.total()) ** 2
    return outside >= MANY


def _is_name(cell: str) -> bool:
    if cell == "#":
        return True
    return len(cell) <= 40 and len(cell.split()) <= 4 and bool(re.search(r"\w", cell)) and cell[-1] not in ".!?:"


def _repeats(column: Column, cell: str, rows: Sequence[Row]) -> bool:
    """Whether the first cell is a value like others of its column."""
    if column.type != "text":
        return False
    count = sum(at(row, column.index) == cell for row in rows)
    return count > REPEATED * len(rows)


def _leaves_the_counter_unnamed(cells: Sequence[str], columns: Sequence[Column]) -> bool:
    """Whether the first cell is empty above numbers in every row, as pandas writes its index."""
    return not cells[0] and any(cells) and columns[0].type == "number" and columns[0].fill == 1


def _introduces(column: Column, cell: str, rows: Sequence[Row]) -> bool:
    """Whether a word stands above categories that do not include it, or above sentences."""
    if column.type != "text" or len(cell.split()) > 1:
        return False
    if len(rows) >= 4 and column.distinct <= FEW:
        return True
    lengths = [length(other) for row in rows if (other := column.cell(row))]
    short = sum(words <= length(cell) for words in lengths)
    return column.length >= SENTENCE and len(lengths) > 1 and short <= REPEATED * len(lengths)
