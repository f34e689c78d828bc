"""Measures the forecast on the file's own history: its error, how its seasons combine, how wide intervals must be."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasting import model
from forecasting.model import Forecast, Mode, Seasonality, Values
from forecasting.series import Series, cut

ORIGINS = 3
MAX_HISTORY = 3_000  # points per fit, so that a request stays within seconds
MIN_TRAIN = 6
MAX_WIDENING = 5.0
MIN_SEASONS = 1.25  # of the longest pattern that a training history must show


@dataclass(frozen=True, slots=True)
class Backtest:
    """Mean absolute errors over the same origins, in the series' own unit; smape in percent.

    `widening` is the factor by which the model's intervals must grow to have held their share of the values.
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
        """A tie within rounding, as on a constant series, counts as not beaten."""
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
    """Forecasts the end of the history from up to three origins, once per way to combine season and trend.

    Multiplicative seasons are tried on histories that never were negative, where they mean something.
    """
    steps = min(horizon, max(1, len(series.stamps) // 4))
    ends = _origins(series, pattern, steps)
    modes: list[Mode] = ["additive", "multiplicative"] if pattern and _positive(series) else ["additive"]
    truth = np.concatenate([series.values[end : end + steps] for end in ends])
    naive = np.concatenate([seasonal_naive(cut(series, end, end), _held_out(series, end, steps)) for end in ends])
    found = {mode: _join([_predict(series, end, steps, pattern, mode, interval) for end in ends]) for mode in modes}
    errors = {mode: mean_error(truth, found[mode].bounded(series.floor).prediction) for mode in modes}
    best = min(modes, key=lambda mode: errors[mode])
    return Backtest(
        origins=len(ends),
        horizon=steps,
        mae=errors[best],
        smape=_smape(truth, found[best].bounded(series.floor).prediction),
        naive_mae=mean_error(truth, naive),
        mode=best,
        widening=_widening(truth, found[best], interval),
    )


def seasonal_naive(history: Series, positions: list[int]) -> Values:
    """The value one season earlier, or as many seasons as it takes to find one; the latest value otherwise."""
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


def mean_error(truth: Values, found: Values) -> float:
    return float(np.mean(np.abs(truth - found)))


def significant(value: float) -> float:
    """Ten significant digits: more would be noise, and fewer would lose what is tiny beside its neighbours."""
    return float(f"{value:.10g}")


def _origins(series: Series, pattern: Seasonality, steps: int) -> list[int]:
    """Indexes where held-out stretches begin, without overlap, each after enough history; the latest at least."""
    count = len(series.stamps)
    found = []
    for origin in range(1, ORIGINS + 1):
        end = count - origin * steps
        if end < max(MIN_TRAIN, count // 4):
            break
        if model.span(cut(series, end, end)) < MIN_SEASONS * pattern.longest:
            break
        found.append(end)
    return found or [count - steps]


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


def _widening(truth: Values, found: Forecast, interval: float) -> float:
    """How many half-widths away the truth lay, at the quantile that the interval promises; at least 1."""
    above = truth > found.prediction
    width = np.where(above, found.upper - found.prediction, found.prediction - found.lower)
    missed = np.abs(truth - found.prediction)
    if not np.all(width > 0):
        return 1.0
    return float(np.clip(np.quantile(missed / width, interval), 1.0, MAX_WIDENING))


def _positive(series: Series) -> bool:
    return series.floor is not None and float(series.values.max()) > float(series.values.min())


def _smape(truth: Values, found: Values) -> float:
    scale = np.abs(truth) + np.abs(found)
    ratios = np.divide(np.abs(truth - found), scale, out=np.zeros_like(scale), where=scale > 0)
    return float(200 * np.mean(ratios))
