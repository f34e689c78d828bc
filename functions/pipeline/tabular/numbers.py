"""Parses numbers as people and spreadsheets write them: 1.234,56 and 1,234.56, with currency signs and percent."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_DECORATION = re.compile(r"^(?:[€$£¥₹]|EUR|USD|GBP|CHF)?\s*|\s*(?:[€$£¥₹%]|EUR|USD|GBP|CHF)?$")
_BODY = r"[+-]?(?:\d{{1,3}}(?:{group}\d{{3}})+(?:{point}\d*)?|\d+(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d{{1,3}})?"
_SPACES = " \u00a0\u202f\u2009'’"
_SHAPES = {
    ".": re.compile(_BODY.format(group=f"[,{_SPACES}]", point=r"\."), re.ASCII),
    ",": re.compile(_BODY.format(group=f"[.{_SPACES}]", point=","), re.ASCII),
}
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_STRIP: dict[str, dict[int, str | None]] = {
    ".": {ord(char): None for char in "," + _SPACES},
    ",": {ord(","): ".", **{ord(char): None for char in "." + _SPACES}},
}
MAX_CELL = 64
EVIDENCE = 20_000  # cells, spread over the column, that decide the separator


@dataclass(frozen=True, slots=True)
class Convention:
    """A column's decimal separator, and whether its cells leave no doubt about it."""

    decimal: str
    certain: bool


def number(cell: str, decimal: str = ".") -> float | None:
    """The finite value of a cell under a decimal separator; None if it is not a number."""
    if len(cell) > MAX_CELL:
        return None
    if cell.isdecimal() or (decimal == "." and _PLAIN.fullmatch(cell)):
        return float(cell)
    cell = _bare(cell)
    if not _SHAPES[decimal].fullmatch(cell) or not _nonzero_groups(cell, decimal):
        return None
    value = float(cell.translate(_STRIP[decimal]))
    return value if math.isfinite(value) else None


def convention(cells: Sequence[str], preferred: str = ".") -> Convention | None:
    """The decimal separator under which most cells are numbers; None if under neither nine in ten are.

    Where both separators fit (1.234), plain integers below 1000 in other cells indicate that 1.234 is grouped;
    without them `preferred` decides, and the convention is not certain.
    """
    cells = cells[:: 1 + len(cells) // EVIDENCE]
    counts = {decimal: sum(number(cell, decimal) is not None for cell in cells) for decimal in ".,"}
    best = max(counts.values())
    if not cells or best < 0.9 * len(cells):
        return None
    if counts["."] != counts[","]:
        return Convention("." if counts["."] > counts[","] else ",", certain=True)
    doubtful = [cell for cell in cells if number(cell, ".") != number(cell, ",")]
    if not doubtful:
        return Convention(".", certain=True)
    separator = "," if any("," in cell for cell in doubtful) else "."
    other = "." if separator == "," else ","
    if _crosses_a_thousand(cells, doubtful):
        return Convention(other, certain=True)
    return Convention(preferred, certain=False)


def _bare(cell: str) -> str:
    cell = cell.replace("−", "-").strip()
    if cell.startswith("(") and cell.endswith(")"):
        cell = "-" + cell[1:-1].strip()
    sign = cell[0] if cell[:1] in ("+", "-") else ""
    return sign + _DECORATION.sub("", cell.removeprefix(sign).strip())


def _nonzero_groups(cell: str, decimal: str) -> bool:
    """Whether no group starts with a zero: 0.123 is a fraction under any separator."""
    group = "," if decimal == "." else "."
    return group not in cell or not cell.lstrip("+-").startswith("0")


def _crosses_a_thousand(cells: Sequence[str], doubtful: Iterable[str]) -> bool:
    """Whether all ungrouped cells are integers below 1000, as counts are if grouping starts at 1.000."""
    grouped = set(doubtful)
    plain = [_bare(cell) for cell in cells if cell not in grouped]
    return bool(plain) and all(cell.lstrip("+-").isdecimal() and len(cell.lstrip("+-")) <= 3 for cell in plain)
