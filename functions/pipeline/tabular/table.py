"""The layout of a table in a delimited text."""

from dataclasses import dataclass

from pipeline.tabular import selection
from pipeline.tabular.columns import Column, Type
from pipeline.tabular.request import ANYTHING, Request
from pipeline.tabular.selection import Choice


@dataclass(frozen=True, slots=True)
class Table:
    """The layout of a table.

    Args:
        columns: empty if the text is not a table.
        skip: records above the data: comments, titles and the header.
        rows: data rows in the sample, not in the whole text.
    """

    delimiter: str
    columns: tuple[Column, ...]
    header: bool
    skip: int
    rows: int

    def of(self, kind: Type) -> list[Column]:
        return [column for column in self.columns if column.type == kind]

    @property
    def typed(self) -> int:
        """How many columns have a type that prose does not have."""
        return sum(column.type in ("date", "number", "image") and column.readable for column in self.columns)

    @property
    def undated(self) -> Column | None:
        """A column of dates in no known format."""
        return next((column for column in self.columns if not column.readable), None)

    def choice(self, request: Request = ANYTHING) -> Choice:
        """What the columns are for. Raises RejectedError, as `selection.choose` does."""
        return selection.choose(self.columns, self.rows, request)


NOTHING = Table(delimiter="", columns=(), header=False, skip=0, rows=0)
