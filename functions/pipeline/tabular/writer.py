"""Writes the rows of a CSV result in the form that its input has."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from pipeline.errors import MalformedError

Newline = Literal["\n", "\r\n", "\r"]

FORMULA = re.compile(r"[=+@\t\r-]")
NUMBER = re.compile(r"[+-][\d.,' ]*\d ?%?")  # also a telephone number


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form of a CSV.

    Args:
        mark: whether it begins with a byte order mark, by which Excel recognises UTF-8.
        decimal: the decimal separator of numbers.
        safe: whether an apostrophe stands before a cell that a spreadsheet would take for a formula.
    """

    delimiter: str = ","
    newline: Newline = "\n"
    mark: bool = False
    decimal: Literal[".", ","] = "."
    safe: bool = False

    @classmethod
    def of(cls, sample: str, codec: str, delimiter: str, *, decimal: str = ".", safe: bool = False) -> Self:
        """That of an input.

        Args:
            sample: its beginning.
            codec: its encoding; a result is in UTF-8, and has a mark unless the input is in UTF-8 without one.
            decimal: the separator of the numbers in its columns.
        """
        newline: Newline = "\r\n" if "\r\n" in sample else "\r" if "\r" in sample and "\n" not in sample else "\n"
        is_comma = decimal == "," and delimiter != ","
        return cls(delimiter or ",", newline, codec != "utf-8", "," if is_comma else ".", safe)

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Self:
        """Raises MalformedError unless the fields are those of a dialect."""
        try:
            dialect = cls(**value)
        except TypeError as error:
            raise MalformedError("dialect must have the fields of a CSV's form.") from error
        if dialect.newline not in get_args(Newline) or not isinstance(dialect.delimiter, str):
            raise MalformedError("dialect.newline must be a line end, and dialect.delimiter a character.")
        return dialect

    def json(self) -> dict[str, Any]:
        return asdict(self)


PLAIN = Dialect()


def header(cells: Iterable[str], dialect: Dialect = PLAIN) -> str:
    """The first line, with the byte order mark."""
    return ("\ufeff" if dialect.mark else "") + line(cells, dialect)


def line(cells: Iterable[object], dialect: Dialect = PLAIN) -> str:
    """The cells with a line end; a cell that contains a line break of any kind is quoted."""
    text = io.StringIO()
    # With this line end a lone carriage return is quoted, too.
    writer = csv.writer(text, delimiter=dialect.delimiter, lineterminator="\r\n")
    writer.writerow(_cell(cell, dialect) for cell in cells)
    return text.getvalue()[:-2] + dialect.newline


def _cell(value: object, dialect: Dialect) -> object:
    if isinstance(value, float) and dialect.decimal == ",":
        return str(value).replace(".", ",")
    if dialect.safe and isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value):
        return f"'{value}"
    return value
