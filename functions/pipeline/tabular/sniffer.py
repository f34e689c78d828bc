"""Recognises a table in the first lines of a text."""

from pipeline.errors import RejectedError
from pipeline.tabular import headers, layouts, reader, selection
from pipeline.tabular.columns import SHARE, Column
from pipeline.tabular.layouts import Layout
from pipeline.tabular.reader import HEAD_CHARS, MAX_COLUMNS
from pipeline.tabular.request import ANYTHING, Request
from pipeline.tabular.table import NOTHING, Table
from pipeline.tabular.vocabulary import names

DELIMITERS = (";", "\t", ",", "|")


def sniff(text: str, complete: bool, request: Request = ANYTHING, *, declared: bool = False) -> Table:
    """Recognises the table in a text's first 64 KB.

    Args:
        text: decoded text without a byte order mark.
        complete: False if the text was cut off, so that its last line is ignored.
        declared: whether the text is said to be a table, so that doubtful evidence is enough.

    Returns:
        The table; without columns if the text is not one.

    Raises:
        RejectedError: `invalid_csv` for more than MAX_COLUMNS columns, or for a table with a quote that never closes;
            `invalid_date_format` for a pattern that is not one.
    """
    _check_width(text)
    sample = text if complete and len(text) <= HEAD_CHARS else _whole_lines(text[:HEAD_CHARS])
    is_whole = len(sample) == len(text) and complete
    mark = reader.declared_delimiter(sample)
    possible = (layouts.under(sample, delimiter, is_whole, request) for delimiter in ([mark] if mark else DELIMITERS))
    candidates = [layout for layout in possible if layout is not None]
    convincing = [layout for layout in candidates if _is_convincing(layout.table, layout.share)]
    best = max(convincing, key=lambda layout: layout.rank, default=None)
    if best is None or not best.table.header:
        best = _column_of_texts(sample, request) or best
    if best is None and declared:
        doubtful = [layout for layout in candidates if request.kind or _is_possible(layout)]
        best = max(doubtful, key=lambda layout: layout.rank, default=None)
    if best is None:
        return NOTHING if is_whole else _header_alone(sample, request)
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


def _column_of_texts(text: str, request: Request) -> Layout | None:
    """The table of one column with a name such as `text`, whose texts may contain delimiters."""
    first = next((line for line in reader.lines(text) if line.strip() and not line.startswith("#")), "").strip()
    name = first.strip('"')
    if any(mark in first for mark in DELIMITERS) or not names.is_text(name) or not names.is_plain(name):
        return None
    sample = layouts.beginning(text, ",")
    body = sample.records[sample.comments :]
    if len(body) < 2:
        return None
    table = layouts.headed(sample.records, sample.comments, 1, ",", request)
    return Layout(table, 1.0, None) if table.header else None


def _header_alone(text: str, request: Request) -> Table:
    """The table by its header, if the row below it is longer than the sample: it may hold a photo."""
    for delimiter in DELIMITERS:
        sample = layouts.beginning(text, delimiter)
        cells = [cell.strip() for cell in sample.records[-1].cells] if sample.records else []
        if len(sample.records) != sample.comments + 1 or len(cells) < 2 or not headers.are_names(cells, request):
            continue
        described = tuple(_by_its_name(name, index) for index, name in enumerate(cells))
        return Table(delimiter, described, header=True, skip=len(sample.records), rows=0)
    return NOTHING


def _by_its_name(name: str, index: int) -> Column:
    return Column(name, index, "text" if names.is_text(name) or names.is_prose(name) else "empty")


def _is_convincing(table: Table, share: float) -> bool:
    """Excludes prose with commas: a table has typed columns, or a header above rows of one width."""
    if len(table.columns) == 1:
        only = table.columns[0]
        is_named = table.header and (names.is_text(only.name) or names.is_prose(only.name))
        return only.type == "image" or (is_named and share == 1)
    if all(column.type == "empty" for column in table.columns):
        return False
    if table.header and any(names.is_known(column.name) for column in table.columns):
        return True
    is_series = table.choice().kind == "timeseries"
    return (share >= SHARE and (table.typed > 0 or table.header)) or is_series


def _is_possible(layout: Layout) -> bool:
    """Whether a text that is said to be a table may be one: its rows have as many cells, or are texts with commas."""
    table = layout.table
    if len(table.columns) == 1:
        only = table.columns[0]
        return layout.share == 1 or (only.type == "text" and only.length >= selection.PHRASE)
    return layout.share >= SHARE and any(column.type != "empty" for column in table.columns)
