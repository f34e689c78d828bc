"""A forecast as numbers for a chart: the end of the history, the predictions and their interval."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_DELIMITERS = (",", ";", "\t", "|")
_HEAD_LINES = 60  # in which the header stands
_SHOWN_PER_STEP, _LEAST, _MOST = 6, 60, 600  # points of history for each predicted one


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns of equal length; `x` in seconds since 1970. `note` says what is missing."""

    x: list[float]
    history: list[float | None]
    prediction: list[float | None]
    lower: list[float | None]
    upper: list[float | None]
    name: str
    note: str = ""

    @property
    def columns(self) -> list[list[Any]]:
        """As uPlot draws them."""
        return [self.x, self.upper, self.lower, self.history, self.prediction]

    @property
    def predicted(self) -> list[tuple[str, float | None, float | None, float | None]]:
        """The predictions with their interval, for a table."""
        columns = zip(self.x, self.prediction, self.lower, self.upper, strict=True)
        return [(_shown(x), value, low, high) for x, value, low, high in columns if value is not None]


def chart(data: str, history: str, series: dict[str, Any]) -> Chart | None:
    """The chart of a forecast; None if its data cannot be read.

    Args:
        data: the CSV of predictions.
        history: the CSV of the input, or its end with the header; empty if it is not there any more.
        series: `forecast.series` of the document.
    """
    predicted = list(_points(data, "date", ("prediction", "lower", "upper"), ""))
    if not predicted:
        return None
    value_column = str(series.get("value_column") or "")
    known = list(
        _points(history, str(series.get("date_column") or ""), (value_column,), str(series.get("date_format") or ""))
    )
    known = [point for point in sorted(known) if point[0] < predicted[0][0]]
    kept = known[-max(_LEAST, min(_MOST, _SHOWN_PER_STEP * len(predicted))) :]
    blank: list[float | None] = [None] * len(kept)
    after: list[float | None] = [None] * len(predicted)
    last = kept[-1][1][0] if kept else None
    joint: list[float | None] = [*blank[:-1], last] if kept else []  # so that the lines meet
    return Chart(
        x=[x for x, _ in (*kept, *predicted)],
        history=[values[0] for _, values in kept] + after,
        prediction=joint + [values[0] for _, values in predicted],
        lower=joint + [values[1] for _, values in predicted],
        upper=joint + [values[2] for _, values in predicted],
        name=value_column,
        note="" if kept else "The history is not drawn: the input is gone, or not a CSV.",
    )


def sentence(forecast: dict[str, Any]) -> str:
    """What the backtest says, in one sentence."""
    backtest, series = forecast.get("backtest") or {}, forecast.get("series") or {}
    error, naive, origins = backtest.get("mae"), backtest.get("naive_mae"), backtest.get("origins")
    if error is None or not origins:
        return "There was too little history to test the forecast on it."
    times = "once" if origins == 1 else f"{origins} times"
    unit = series.get("value_column") or "the value"
    text = f"Tested {times} on the end of its own history, the forecast missed {unit} by {error:.4g} on average"
    if (percent := backtest.get("smape")) is not None:
        text += f" ({percent:.1f} %)"
    if naive:
        share = abs(1 - error / naive) * 100
        better = "better" if error <= naive else "worse"
        text += f", {share:.0f} % {better} than repeating the last season"
    return f"{text}."


def _points(text: str, date: str, columns: tuple[str, ...], pattern: str) -> Iterator[tuple[float, list[float | None]]]:
    found = _header(text, (date, *columns))
    if found is None:
        return
    rest, delimiter, header = found
    places = [header.index(column) for column in columns]
    when = header.index(date)
    for row in csv.reader(io.StringIO(rest), delimiter=delimiter):
        if len(row) <= max(when, *places):
            continue
        moment = _moment(row[when].strip(), pattern)
        values = [_number(row[place], delimiter) for place in places]
        if moment is not None and values[0] is not None:
            yield moment, values


def _header(text: str, columns: Iterable[str]) -> tuple[str, str, list[str]] | None:
    """The rows below the header that has all columns, the delimiter, and the header's cells."""
    wanted = set(columns)
    position = 0
    for line in text.splitlines(keepends=True)[:_HEAD_LINES]:
        position += len(line)
        for delimiter in _DELIMITERS:
            cells = [
                cell.strip().lstrip("\ufeff#").strip()
                for cell in next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
            ]
            if wanted <= set(cells):
                return text[position:], delimiter, cells
    return None


def _moment(text: str, pattern: str) -> float | None:
    try:
        parsed = datetime.strptime(text, pattern) if pattern else datetime.fromisoformat(text)
    except ValueError:
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError:
            return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _number(text: str, delimiter: str) -> float | None:
    """A number; a comma is its decimal separator where it does not separate the cells."""
    plain = text.strip().replace(" ", "").replace("\u00a0", "")
    if delimiter != "," and "," in plain:
        plain = plain.replace(".", "").replace(",", ".")
    try:
        return float(plain)
    except ValueError:
        return None


def _shown(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d}" if (moment.hour, moment.minute) == (0, 0) else f"{moment:%Y-%m-%d %H:%M}"
