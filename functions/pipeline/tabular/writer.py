"""Writes one row of a CSV result."""

import csv
import io
from collections.abc import Iterable


def line(cells: Iterable[object]) -> str:
    """The cells with a newline at the end; a cell that contains a line break of any kind is quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # quotes a lone carriage return, as it does not with "\n"
    return text.getvalue()[:-2] + "\n"
