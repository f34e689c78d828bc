"""The layout of a table in a delimited text."""

from dataclasses import dataclass

from pipeline.tabular import headers, selection
from pipeline.tabular.columns import Column, Type
from pipeline.tabular.request import ANYTHING, Request
from pipeline.tabular.selection import Choice


@dataclass(frozen=True, slots=True)
class Table:
    """The layout of a table.

    Args:
        columns: empty if the text is not a table.
        header: whether a row, or several as under merged cells, names the columns.
        skip: records above the data: comments, titles and the header.
        rows: data rows in the sample, not in the whole text.
        header_rows: how many rows the header has.
    """

    delimiter: str
    columns: tuple[Column, ...]
    header: bool
    skip: int
    rows: int
    header_rows: int = 1

    def of(self, kind: Type) -> list[Column]:
        return [column for column in self.columns if column.type == kind]

    @property
    def decimal(self) -> str:
        """The decimal separator of its numbers."""
        return "," if any(column.decimal == "," for column in self.of("number")) else "."

    @property
    def typed(self) -> int:
        """How many columns have a type that prose does not have."""
        return sum(column.type in ("date", "number", "image") and column.readable for column in self.columns)

    @property
    def across(self) -> tuple[str, ...]:
        """The names of the columns of numbers if most of them are dates in order: the series lie across the table."""
        numbers = [column for column in self.columns if column.type in ("number", "empty") and not column.unnamed]
        dated = [column.name for column in numbers if headers.date_of(column.name)]
        is_across = self.header and 2 * len(dated) >= len(numbers) and headers.are_successive(dated, evenly=False)
        return tuple(dated) if is_across else ()

    @property
    def notes(self) -> list[str]:
        """What the sender should know about how it was read."""
        if not self.header:
            return ["The first row was read as a record: it does not look like a header."]
        return [f"The first {self.header_rows} rows were read as the header."] if self.header_rows > 1 else []

    @property
    def undated(self) -> Column | None:
        """A column of dates in no known format."""
        return next((column for column in self.columns if not column.readable), None)

    def choice(self, request: Request = ANYTHING) -> Choice:
        """What the columns are for. Raises RejectedError, as `selection.choose` does."""
        return selection.choose(self.columns, self.rows, request)


NOTHING = Table(delimiter="", columns=(), header=False, skip=0, rows=0)
