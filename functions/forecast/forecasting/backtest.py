"""Measures forecasts of the history's own end: their error, the better seasonality mode, the width of intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasting import model
from forecasting.model import Forecast, Mode, Seasonality, Values
from forecasting.series import Series, cut

ORIGINS = 3
MAX_HISTORY = 3_000  # points per fit, so that a request takes seconds
MIN_TRAIN = 6
MAX_WIDENING = 5.0
MIN_SEASONS = 1.25  # of the longest pattern in each training history


@dataclass(frozen=True, slots=True)
class Backtest:
    """Mean absolute errors over the same origins, in the series' own unit; smape in percent.

    `widening` is the factor by which the model's intervals must grow to contain their share of the values.
    """

    origins: int
    horizon: int
    mae: float
    smape: float
    naive_mae: float
    mode: Mode
    widening: float

    @property
    def beats_naive(self) -> bool:
        """Whether the model is the better one; a tie within rounding, as on a constant series, does not count."""
        return self.mae < self.naive_mae * (1 - 1e-6)

    def json(self) -> dict[str, Any]:
        return {
            "origins": self.origins,
            "horizon": self.horizon,
            "mae": significant(self.mae),
            "smape": significant(self.smape),
            "naive_mae": significant(self.naive_mae),
            "beats_naive": self.beats_naive,
            "seasonality_mode": self.mode,
            "interval_widening": round(self.widening, 3),
        }


def run(series: Series, pattern: Seasonality, horizon: int, interval: float) -> Backtest:
    """Forecasts the end of the history from up to three origins, in each seasonality mode that applies.

    The multiplicative mode applies to histories that were never negative.
    """
    steps = min(horizon, max(1, len(series.stamps) // 4))
    ends = _origins(series, pattern, steps)
    modes: list[Mode] = ["additive", "multiplicative"] if pattern and _positive(series) else ["additive"]
    truth = np.concatenate([series.values[end : end + steps] for end in ends])
    naive = np.concatenate([seasonal_naive(cut(series, end, end), _held_out(series, end, steps)) for end in ends])
    forecasts = {mode: _join([_predict(series, end, steps, pattern, mode, interval) for end in ends]) for mode in modes}
    errors = {mode: mean_error(truth, forecasts[mode].bounded(series.floor).prediction) for mode in modes}
    best = min(modes, key=lambda mode: errors[mode])
    return Backtest(
        origins=len(ends),
        horizon=steps,
        mae=errors[best],
        smape=_smape(truth, forecasts[best].bounded(series.floor).prediction),
        naive_mae=mean_error(truth, naive),
        mode=best,
        widening=_widening(truth, forecasts[best], interval),
    )


def seasonal_naive(history: Series, positions: list[int]) -> Values:
    """The latest known value a whole number of seasons earlier; without one, the latest value."""
    season = history.frequency.season
    known = dict(zip(map(history.frequency.position, history.stamps), history.values, strict=True))
    first, last = min(known), max(known)
    if last - first + 1 < season:
        season = 1
    answer = []
    for position in positions:
        place = position - season * max(1, -(-(position - last) // season))
        while place >= first and place not in known:
            place -= season
        answer.append(known.get(place, history.values[-1]))
    return np.array(answer, dtype=np.float64)


def mean_error(truth: Values, predicted: Values) -> float:
    return float(np.mean(np.abs(truth - predicted)))


def significant(value: float) -> float:
    """The value in ten significant digits: more would be noise, fewer would lose small differences of large values."""
    return float(f"{value:.10g}")


def _origins(series: Series, pattern: Seasonality, steps: int) -> list[int]:
    """Where held-out stretches begin, without overlap, each after enough history; at least the latest."""
    count = len(series.stamps)
    origins = []
    for origin in range(1, ORIGINS + 1):
        end = count - origin * steps
        if end < max(MIN_TRAIN, count // 4):
            break
        if model.span(cut(series, end, end)) < MIN_SEASONS * pattern.longest:
            break
        origins.append(end)
    return origins or [count - steps]


def _held_out(series: Series, end: int, steps: int) -> list[int]:
    return [series.frequency.position(stamp) for stamp in series.stamps[end : end + steps]]


def _predict(series: Series, end: int, steps: int, pattern: Seasonality, mode: Mode, interval: float) -> Forecast:
    history = cut(series, end, max(MAX_HISTORY, 2 * steps))
    if len(history.stamps) < end:
        pattern, _ = model.seasonality(history)
    return model.predict(history, series.stamps[end : end + steps], pattern, mode, interval)


def _join(parts: list[Forecast]) -> Forecast:
    names = ("prediction", "lower", "upper")
    return Forecast(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _widening(truth: Values, forecast: Forecast, interval: float) -> float:
    """The distance of the truth in half-widths, at the quantile that the interval promises; at least 1."""
    above = truth > forecast.prediction
    width = np.where(above, forecast.upper - forecast.prediction, forecast.prediction - forecast.lower)
    missed = np.abs(truth - forecast.prediction)
    if not np.all(width > 0):
        return 1.0
    return float(np.clip(np.quantile(missed / width, interval), 1.0, MAX_WIDENING))


def _positive(series: Series) -> bool:
    return series.floor is not None and float(series.values.max()) > float(series.values.min())


def _smape(truth: Values, predicted: Values) -> float:
    scale = np.abs(truth) + np.abs(predicted)
    ratios = np.divide(np.abs(truth - predicted), scale, out=np.zeros_like(scale), where=scale > 0)
    return float(200 * np.mean(ratios))
