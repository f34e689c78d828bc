"""Chooses the date column and the value column of a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from forecasting.options import Options
from pipeline.errors import RejectedError
from pipeline.tabular.columns import Column, Type
from pipeline.tabular.sniffer import Table

DATE_NAMES = ("ds", "date", "datum", "timestamp", "datetime", "time", "day", "week", "month", "period", "year")
VALUE_NAMES = (
    *("y", "value", "values", "sales", "demand", "amount", "count", "quantity", "qty", "volume", "revenue", "total"),
    *("close", "adj close", "price", "wert", "umsatz", "menge", "betrag", "units", "orders", "visits", "load"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The two columns of a series, and notes on the choice for the user."""

    date: Column
    value: Column
    notes: list[str] = field(default_factory=list)


def choose(table: Table, options: Options) -> Choice:
    """The columns in the options, or those of the right type, with conventional names first.

    Raises:
        RejectedError: `no_usable_column`, or `invalid_csv` if the text is not a table.
    """
    if not table.columns:
        raise RejectedError("invalid_csv", "The content is not a table with a date column and a numeric column.")
    notes: list[str] = []
    # Dates in a format of the caller's own look like text.
    types: Sequence[Type] = ("date", "text", "number") if options.date_format else ("date",)
    date = _pick(table, options.date_column, types, DATE_NAMES, "date")
    numbers = [column for column in table.of("number") if column.index != date.index]
    value = _named(table, options.value_column) if options.value_column else _best(numbers, VALUE_NAMES)
    if value is None:
        raise RejectedError("no_usable_column", "The file has a date column but no numeric column.")
    if value.index == date.index:
        raise RejectedError("no_usable_column", "The date column and the value column are the same.")
    if not options.value_column and len(numbers) > 1:
        others = ", ".join(column.name for column in numbers if column is not value)
        notes.append(f"Column {value.name!r} was forecast. The parameter value_column selects another ({others:.200}).")
    return Choice(date, value, notes)


def _pick(table: Table, name: str | None, types: Sequence[Type], names: Iterable[str], what: str) -> Column:
    if name:
        return _named(table, name)
    for kind in types:
        if column := _best(table.of(kind), names):
            return column
    raise RejectedError("no_usable_column", f"The file has no {what} column.")


def _named(table: Table, name: str) -> Column:
    for column in table.columns:
        if column.name.casefold() == name.casefold():
            return column
    known = ", ".join(column.name for column in table.columns)
    raise RejectedError("no_usable_column", f"The file has no column {name!r}. Its columns are {known:.300}.")


def _best(columns: Sequence[Column], names: Iterable[str]) -> Column | None:
    for name in names:
        for column in columns:
            if column.name.casefold().replace("_", " ") == name:
                return column
    return columns[0] if columns else None
