"""Tells whether a table's first rows name its columns."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from pipeline.tabular import dates, numbers
from pipeline.tabular.columns import Column, at, length, present, same_name
from pipeline.tabular.reader import Row
from pipeline.tabular.request import Request
from pipeline.tabular.vocabulary import names

REPEATED = 0.02  # of the rows below that may repeat a name, as files do that were joined
FEW = 0.5  # different cells in a column of categories
MANY = 20  # cells of categories
SENTENCE = 4  # words
TYPED = frozenset(("number", "date", "image"))
DECORATION = re.compile(r"^[XY](?=\d{4}$)|\s*\[[^\]]*\]$")  # of a year in the World Bank's tables, the FAO's and R's
WORD = re.compile(r"[^\W\d][\w.]*")
FEW_QUESTIONS = 0.1  # of the answers
PROGRAM = re.compile(r"_|\d|[a-z][A-Z]")
CAPITALS = 0.8  # of the texts
YEAR = re.compile(r"(?:1[6-9]|2[0-2])\d\d")


def is_header(first: Row, columns: Sequence[Column], rows: Sequence[Row], request: Request) -> bool:
    """Whether `first` names the columns, which are described by the rows below it."""
    cells = [at(first, column.index) for column in columns]
    if request.columns and all(any(same_name(cell, name) for cell in cells) for name in request.columns):
        return True
    if any(_contradicts(column, cell) for column, cell in zip(columns, cells, strict=True)):
        return True
    if _is_above_categories(cells, columns, rows) or _dates_the_numbers(cells, columns) or _counts(cells, columns):
        return True
    if any(column.type in TYPED and present(cell) for column, cell in zip(columns, cells, strict=True)):
        return False  # which agrees with its column
    named = [(column, cell) for column, cell in zip(columns, cells, strict=True) if cell]
    texts = [cell for _, cell in named]
    if _asks(named):
        return True
    if not texts or not all(map(_is_name, texts)) or len(set(texts)) < len(texts):
        return False
    if any(_repeats(column, cell, rows) for column, cell in named):
        return False
    if any(map(_is_known, texts)) or _leaves_the_counter_unnamed(cells, columns):
        return True
    alone = len(columns) == 1
    return (not alone and _is_of_programs(named)) or any(_introduces(*pair, rows, alone=alone) for pair in named)


def stacked(above: Sequence[Row], columns: Sequence[Column], rows: Sequence[Row], request: Request) -> bool:
    """Whether all of several rows name the columns, as under merged cells, above units or above codes.

    Args:
        columns: described by `rows`, those below.
    """
    first, *lower = above
    blank = [column.index for column in columns if not at(first, column.index) and any(first[: column.index])]
    merged = any(at(lower[0], index) for index in blank)
    if not is_header(first, columns, rows, request) and not merged:
        return False
    return all(_continues(row, columns, rows, request, merged=merged) for row in lower)


def joined(above: Sequence[Row], width: int) -> list[str]:
    """The columns' names under several rows of headers: those of the first if it has one for each column.

    A cell of an upper row belongs to the blank ones right of it, too, since they were merged; a column without any
    cell of its own has no name.
    """
    cells = [[at(row, index) for index in range(width)] for row in above]
    if all(cells[0]) and len(set(cells[0])) == width:
        return cells[0]
    filled: list[list[str]] = [list(accumulate(row, _spread)) for row in cells[:-1]]
    named = zip(zip(*cells, strict=True), zip(*filled, cells[-1], strict=True), strict=True)
    return [" ".join(dict.fromkeys(filter(None, parts))) if any(own) else "" for own, parts in named]


def _spread(before: str, cell: str) -> str:
    return cell or before


def are_successive(cells: Sequence[str], *, evenly: bool) -> bool:
    """Whether the cells are dates in order, such as 2022, 2023, 2024 or the reverse; `evenly`: at the same steps."""
    plain = [date_of(cell) for cell in cells]
    if len(plain) < 2 or not all(plain):
        return False
    if len(plain) == 2 and all(map(str.isdecimal, plain)):
        return abs(int(plain[0]) - int(plain[1])) == 1
    for form in dates.formats(plain, "date"):
        stamps = [stamp for stamp in form.read(plain) if stamp is not None]
        in_order = sorted(set(stamps), reverse=stamps[0] > stamps[-1])
        if len(stamps) == len(plain) and stamps == in_order and (not evenly or dates.is_regular(sorted(stamps))):
            return True
    return False


def date_of(name: str) -> str:
    """The date that a column's name consists of, also as `1960 [YR1960]` or `X1960`; "" if it is none."""
    plain = DECORATION.sub("", name.strip())
    is_day = not plain.isdecimal() or (len(plain) == 4 and "1600" <= plain < "2300")
    return plain if is_day and dates.formats([plain], "date") else ""


def are_names(cells: Sequence[str], request: Request) -> bool:
    """Whether the cells are names of columns, as far as that shows without the rows below."""
    if request.columns:
        return all(any(same_name(cell, name) for cell in cells) for name in request.columns)
    has_text = any(names.is_text(cell) and names.is_plain(cell) for cell in cells)
    return has_text and all(map(_is_name, filter(None, cells)))


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


def _continues(row: Row, columns: Sequence[Column], rows: Sequence[Row], request: Request, *, merged: bool) -> bool:
    """Whether a row below the first belongs to the header: it agrees with no column that has a type."""
    typed = [column for column in columns if column.type in TYPED and present(at(row, column.index))]
    if not all(_contradicts(column, at(row, column.index)) for column in typed):
        return False
    if not typed:
        return merged and is_header(row, columns, rows, request)
    has_texts = any(at(row, column.index) for column in columns if column.type == "text")
    return merged or len(typed) > 1 or not has_texts


def _dates_the_numbers(cells: Sequence[str], columns: Sequence[Column]) -> bool:
    """Whether the cells above the numbers are successive dates, unlike the rows below, which may be years, too."""
    above = [(column, cell) for column, cell in zip(columns, cells, strict=True) if date_of(cell)]
    if any(column.type not in ("number", "empty") for column, _ in above):
        return False
    are_years = all(YEAR.fullmatch(cell) for column, _ in above for cell in column.sample)
    return not are_years and are_successive([cell for _, cell in above], evenly=True)


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


def _is_known(cell: str) -> bool:
    return names.is_known(cell) and names.is_plain(cell)


def _repeats(column: Column, cell: str, rows: Sequence[Row]) -> bool:
    """Whether the first cell is a value like others of its column."""
    if column.type != "text":
        return False
    count = sum(at(row, column.index) == cell for row in rows)
    return count > REPEATED * len(rows)


def _asks(named: Sequence[tuple[Column, str]]) -> bool:
    """Whether most cells are questions, above answers, as surveys write them."""
    questions = [(column, cell) for column, cell in named if cell.endswith("?")]
    answers = [text for column, _ in questions for text in column.sample]
    is_answered = sum(text.endswith("?") for text in answers) <= FEW_QUESTIONS * len(answers)
    return len(questions) > 1 and 2 * len(questions) > len(named) and is_answered


def _is_of_programs(named: Sequence[tuple[Column, str]]) -> bool:
    """Whether the cells are single words, one of them such as `hero_movie` or `userText`, which no cell below is."""
    if not all(WORD.fullmatch(cell) for _, cell in named):
        return False
    below = [text for column, _ in named for text in column.sample]
    return any(map(_is_programs, (cell for _, cell in named))) and not any(map(_is_programs, below))


def _is_programs(cell: str) -> bool:
    return bool(WORD.fullmatch(cell) and PROGRAM.search(cell))


def _is_in_another_style(column: Column, cell: str) -> bool:
    """Whether a word is written as in programs (`q_12`, `userText`), or small where the texts begin with a capital."""
    capitals = sum(not text[0].islower() for text in column.sample)
    return bool(PROGRAM.search(cell)) or (cell[0].islower() and capitals >= CAPITALS * len(column.sample))


def _counts(cells: Sequence[str], columns: Sequence[Column]) -> bool:
    """Whether the cells number the columns, as pandas does where they have no names: 0, 1, 2."""
    numbers = list(filter(None, cells))
    has_texts = any(column.type == "text" for column in columns)
    return has_texts and len(numbers) > 1 and numbers == [str(number) for number in range(len(numbers))]


def _leaves_the_counter_unnamed(cells: Sequence[str], columns: Sequence[Column]) -> bool:
    """Whether the first cell is empty above numbers in every row, as pandas writes its index."""
    return not cells[0] and any(cells) and columns[0].type == "number" and columns[0].fill == 1


def _introduces(column: Column, cell: str, rows: Sequence[Row], *, alone: bool) -> bool:
    """Whether a word stands above categories that do not include it, or above sentences.

    In a column that is `alone` it may be the shortest of the texts, unless its letters show that it is none.
    """
    if column.type != "text" or len(cell.split()) > 1 or (alone and not _is_in_another_style(column, cell)):
        return False
    if len(rows) >= 4 and column.distinct <= FEW:
        return True
    lengths = [length(other) for row in rows if (other := column.cell(row))]
    short = sum(words <= length(cell) for words in lengths)
    return column.length >= SENTENCE and len(lengths) > 1 and short <= REPEATED * len(lengths)
