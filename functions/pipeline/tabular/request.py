"""What the sender of a table wants: its kind, its columns, and the pattern of its dates."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

KINDS = frozenset(("table", "timeseries"))


@dataclass(frozen=True, slots=True)
class Request:
    """The parameters that decide how a table is read, before anything is guessed.

    Args:
        kinds: those that all requested parameters apply to; empty leaves the choice to the content.
        kind: the kind itself, if it was requested.
    """

    kinds: frozenset[str] = frozenset()
    kind: str | None = None
    text_column: str | None = None
    image_column: str | None = None
    date_column: str | None = None
    value_column: str | None = None
    date_format: str | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any], kinds: frozenset[str] = frozenset()) -> Self:
        """The part of checked parameters that concerns a table."""
        names = {field.name for field in fields(cls)} - {"kinds"}
        return cls(kinds, **{name: value for name, value in parameters.items() if name in names})

    @property
    def columns(self) -> list[str]:
        """The names of the requested columns."""
        requested = (self.text_column, self.image_column, self.date_column, self.value_column)
        return [name for name in requested if name is not None]

    @property
    def is_tabular(self) -> bool:
        """Whether the content must be a table, also where neither its name nor its content type says so."""
        return bool(self.kinds) and self.kinds <= KINDS


ANYTHING = Request()
