"""Compares the forecast function's choice with fixed choices and the seasonal naive, out of sample, on synthetic data.

Run from the repository's root: `python benchmarks/forecast/synthetic.py [--seeds N]`.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT / "functions" / "forecast")]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from forecasting import backtest, model, series, spacing  # noqa: E402

Values = NDArray[np.float64]
Shape = Callable[[Values, np.random.Generator], Values]


def wave(steps: Values, period: float) -> Values:
    """A season with a second harmonic, between about -1 and 1."""
    return (np.sin(2 * np.pi * steps / period) + 0.5 * np.cos(4 * np.pi * steps / period)) / 1.3


def additive(*periods: float) -> Shape:
    def shape(steps: Values, rng: np.random.Generator) -> Values:
        trend = 200 + rng.uniform(-0.05, 0.15) * steps
        return trend + sum(rng.uniform(10, 30) * wave(steps, p) for p in periods) + rng.normal(0, 8, len(steps))

    return shape


def multiplicative(*periods: float) -> Shape:
    def shape(steps: Values, rng: np.random.Generator) -> Values:
        trend = 100 * (1 + rng.uniform(1, 4) * steps / len(steps))
        season = 1 + sum(rng.uniform(0.1, 0.3) * wave(steps, p) for p in periods)
        return trend * season * (1 + rng.normal(0, 0.03, len(steps)))

    return shape


def walk(steps: Values, rng: np.random.Generator) -> Values:
    return 500 + rng.normal(0, 3, len(steps)).cumsum()


FAMILIES: dict[str, tuple[str, int, int, Shape]] = {
    # frequency, points, horizon, shape
    "daily, additive": ("D", 400, 28, additive(7)),
    "daily, multiplicative": ("D", 400, 28, multiplicative(7)),
    "daily and yearly, additive": ("D", 1100, 28, additive(7, 365.25)),
    "daily and yearly, multiplicative": ("D", 1100, 28, multiplicative(7, 365.25)),
    "business days": ("B", 300, 28, additive(5)),
    "weekly": ("W-MON", 208, 26, additive(52.18)),
    "monthly, additive": ("MS", 72, 12, additive(12)),
    "monthly, multiplicative": ("MS", 72, 12, multiplicative(12)),
    "quarterly": ("QS", 32, 8, multiplicative(4)),
    "hourly": ("h", 24 * 42, 48, additive(24, 168)),
    "random walk": ("D", 400, 28, walk),
}
COLUMNS = ("chosen", "additive", "multiplicative")
OTHERS = ("covered", "own", "seconds")
INTERVAL = 0.8


def compare(name: str, seed: int) -> dict[str, float]:
    """Errors relative to the seasonal naive's, the shares that the intervals cover, and seconds."""
    frequency, points, horizon, shape = FAMILIES[name]
    steps = np.arange(points + horizon, dtype=np.float64)
    values = np.maximum(shape(steps, np.random.default_rng(seed)), 0)
    stamps = [stamp.to_pydatetime() for stamp in pd.date_range("2019-01-07", periods=points + horizon, freq=frequency)]
    history = series.Series(
        stamps=stamps[:points],
        values=values[:points],
        frequency=spacing.infer(stamps[:points]),
        date_column="date",
        value_column="value",
        date_format="%Y-%m-%d",
        rows=points,
    )
    truth, future = values[points:], stamps[points:]
    pattern, _ = model.seasonality(history)
    started = time.perf_counter()
    tested = backtest.run(history, pattern, horizon, INTERVAL)
    plain = model.predict(history, future, pattern, tested.mode, INTERVAL)
    chosen = plain.widened(tested.widening).bounded(history.floor)
    seconds = time.perf_counter() - started
    naive = backtest.seasonal_naive(history, [history.frequency.position(stamp) for stamp in future])
    predictions = {"chosen": chosen.prediction}
    for fixed in ("additive", "multiplicative"):
        predictions[fixed] = model.predict(history, future, pattern, fixed, INTERVAL).prediction
    scale = backtest.mean_error(truth, naive)
    errors = {column: backtest.mean_error(truth, predictions[column]) / scale for column in COLUMNS}
    return {**errors, "covered": share(truth, chosen), "own": share(truth, plain), "seconds": seconds}


def share(truth: Values, forecast: model.Forecast) -> float:
    """The share of the true values within the interval."""
    return float(np.mean((forecast.lower <= truth) & (truth <= forecast.upper)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="series per family")
    seeds = range(parser.parse_args().seeds)
    model.version()  # imports Prophet, which no measurement should include
    print("MAE out of sample as a ratio to the seasonal naive's (geometric means; below 1 is better);")
    print("the share that the 80 % intervals cover, and that the model's own would; seconds for a request's fits")
    print(f"{'family':34}" + "".join(f"{column:>16}" for column in (*COLUMNS, *OTHERS)))
    means = []
    for name in FAMILIES:
        rows = [compare(name, seed) for seed in seeds]
        ratios = [float(np.exp(np.mean([np.log(row[column]) for row in rows]))) for column in COLUMNS]
        others = [float(np.mean([row[column] for row in rows])) for column in OTHERS]
        means.append(ratios)
        print(f"{name:34}" + "".join(f"{value:16.2f}" for value in (*ratios, *others)), flush=True)
    overall = np.exp(np.mean(np.log(means), axis=0))
    print(f"{'all':34}" + "".join(f"{value:16.2f}" for value in overall))


if __name__ == "__main__":
    main()
