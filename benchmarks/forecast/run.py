"""Compares the forecast function with the seasonal naive, Prophet's default and ETS on public series, out of sample.

    make benchmark-forecast

Each series is forecast from its last origins, without overlap. The function reads a CSV as it would an upload; the
peers get the values. A ratio is the function's mean absolute error over the origins divided by the peer's; several
series have the geometric mean. `covered` is the share of true values within the function's 80 % interval, `averaged`
that of the forecasts which are the mean of two models.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT / "functions" / "forecast")]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from benchmarks.forecast import catalogue  # noqa: E402
from benchmarks.forecast.catalogue import HORIZONS, PublicSeries  # noqa: E402
from benchmarks.forecast.peers import PEERS, Values  # noqa: E402
from forecasting import model  # noqa: E402
from forecasting.answer import answer  # noqa: E402

MIN_HISTORY = 16
SEASONS = {"hourly": 24, "daily": 7, "business-daily": 5, "weekly": 52, "monthly": 12, "quarterly": 4, "yearly": 1}
INTERVAL = 0.8


@dataclass(frozen=True)
class Row:
    """A series' results.

    Attributes:
        ratios: the function's error divided by each peer's.
        seconds: the function's longest request; `points` is its history's length.
        averaged: the share of origins at which the function averaged Prophet with Holt-Winters.
    """

    series: PublicSeries
    ratios: dict[str, float]
    covered: float
    seconds: float
    points: int
    averaged: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=HORIZONS, action="append", help="a frequency; may be repeated")
    parser.add_argument("--origins", type=int, default=3)
    parser.add_argument("--series", action="store_true", help="also print each series")
    options = parser.parse_args()
    model.version()  # imports Prophet, which no measurement should include
    rows = []
    for series in catalogue.load():
        if (not options.only or series.frequency in options.only) and (row := compare(series, options.origins)):
            rows.append(row)
            if options.series:
                print(line(f"{series.frequency}, {series.name:.50}", [row]), flush=True)
    print(*lines(rows), sep="\n")


def compare(series: PublicSeries, origins: int) -> Row | None:
    """None if the series is too short, or a peer's error is 0."""
    count, horizon = len(series.values), series.horizon
    ends = [count - origin * horizon for origin in range(1, origins + 1)]
    ends = [end for end in ends if end >= max(MIN_HISTORY, count // 4)]
    errors: dict[str, list[float]] = {name: [] for name in ("ours", *PEERS)}
    covered, seconds, averaged = [], [], []
    for end in ends:
        history = series.values[:end]
        truth: Values = np.array(series.values[end : end + horizon], dtype=np.float64)
        future = pd.DatetimeIndex(series.values.index[end : end + horizon])
        started = time.perf_counter()
        response = answer(csv(history), {"horizon": horizon, "interval_width": INTERVAL}, "")
        seconds.append(time.perf_counter() - started)
        predicted, lower, upper = (on(response, name, future) for name in ("prediction", "lower", "upper"))
        errors["ours"].append(error(truth, predicted))
        covered.append(float(np.mean((lower <= truth) & (truth <= upper))))
        averaged.append("+" in response["model"]["name"])
        for name, peer in PEERS.items():
            errors[name].append(error(truth, peer(history, future, SEASONS[series.frequency])))
    means = {name: sum(values) for name, values in errors.items()}
    if not ends or min(means.values()) <= 0:
        return None
    ratios = {name: means["ours"] / means[name] for name in PEERS}
    return Row(series, ratios, float(np.mean(covered)), max(seconds), ends[0], float(np.mean(averaged)))


def csv(history: "pd.Series[float]") -> str:
    pattern = "%Y-%m-%d" if pd.DatetimeIndex(history.index).normalize().equals(history.index) else "%Y-%m-%d %H:%M"
    stamps = pd.DatetimeIndex(history.index).strftime(pattern)
    return "date,value\n" + "".join(
        f"{stamp},{value!r}\n" for stamp, value in zip(stamps, history.tolist(), strict=True)
    )


def on(response: dict[str, Any], name: str, future: pd.DatetimeIndex) -> Values:
    """The response's values at the true dates; those of a missing date are interpolated."""
    stamps = pd.to_datetime([entry["date"] for entry in response["predictions"]])
    values = pd.Series([entry[name] for entry in response["predictions"]], index=stamps)
    filled = values.reindex(values.index.union(future)).interpolate(limit_direction="both")
    return filled.reindex(future).to_numpy(dtype=np.float64)


def error(truth: Values, predicted: Values) -> float:
    return float(np.mean(np.abs(truth - predicted)))


def lines(rows: list[Row]) -> Iterator[str]:
    """A table in Markdown."""
    headings = ("series", *(f"ours / {name}" for name in PEERS), "covered", "averaged", "seconds", "points")
    yield f"| frequency | {' | '.join(headings)} |"
    yield "|---|" + "---:|" * len(headings)
    for frequency in HORIZONS:
        chosen = [row for row in rows if row.series.frequency == frequency]
        if chosen:
            yield line(frequency, chosen)
    yield line("all", rows)


def line(name: str, rows: list[Row]) -> str:
    ratios = [math.exp(np.mean([math.log(row.ratios[peer]) for row in rows])) for peer in PEERS]
    covered, averaged = (np.mean([getattr(row, field) for row in rows]) for field in ("covered", "averaged"))
    slowest = max(rows, key=lambda row: row.seconds)
    cells = [name, str(len(rows)), *(f"{ratio:.2f}" for ratio in ratios), f"{covered:.0%}", f"{averaged:.0%}"]
    return f"| {' | '.join([*cells, f'{slowest.seconds:.1f}', f'{slowest.points:,}'])} |"


if __name__ == "__main__":
    main()
