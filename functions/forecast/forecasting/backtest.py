"""Measures forecasts of the history's own end: which model errs least, and whether its intervals are wide enough."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from forecasting import model, smoothing
from forecasting.model import Forecast, Mode, Seasonality, Values
from forecasting.series import Series, cut

Model = Literal["prophet", "holt-winters", "prophet+holt-winters"]

ORIGINS = 3
MAX_HISTORY = 3_000  # points per fit, so that a request takes seconds
MIN_TRAIN = 6
MAX_WIDENING = 5.0
ADVANTAGE = 0.95  # of the mean of two models, which usually errs less than each: one alone must be clearly better
MIN_SEASONS = 1.25  # of the longest pattern in each training history


PROPHET: Model = "prophet"
SMOOTHING: Model = "holt-winters"
MEAN: Model = "prophet+holt-winters"


@dataclass(frozen=True, slots=True)
class Backtest:
    """Mean absolute errors over the same origins, in the series' own unit; smape in percent.

    `errors` has those of each model, and `mae` that of the chosen one. `widening` is the factor by which its intervals
    must grow to contain their share of the values.
    """

    origins: int
    horizon: int
    model: Model
    errors: dict[Model, float]
    smape: float
    naive_mae: float
    mode: Mode
    widening: float

    @property
    def mae(self) -> float:
        return self.errors[self.model]

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
            "errors": {model: significant(error) for model, error in self.errors.items()},
            "seasonality_mode": self.mode,
            "interval_widening": round(self.widening, 3),
        }


def run(series: Series, pattern: Seasonality, horizon: int, interval: float) -> Backtest:
    """Forecasts the end of the history from up to three origins, by each model and seasonality mode that applies.

    The multiplicative mode applies to histories that were never negative.
    """
    steps = min(horizon, max(1, len(series.stamps) // 4))
    ends = _origins(series, pattern, steps)
    modes: list[Mode] = ["additive", "multiplicative"] if pattern and _positive(series) else ["additive"]
    truth = np.concatenate([series.values[end : end + steps] for end in ends])
    naive = np.concatenate([seasonal_naive(cut(series, end, end), _held_out(series, end, steps)) for end in ends])

    def error(forecast: Forecast) -> float:
        return mean_error(truth, forecast.bounded(series.floor).prediction)

    by_mode = {mode: _join([_predict(series, end, steps, pattern, mode, interval) for end in ends]) for mode in modes}
    best = min(modes, key=lambda mode: error(by_mode[mode]))
    forecasts = {PROPHET: by_mode[best]}
    smoothed = _smoothed(series, ends, steps, best, interval)
    if smoothed is not None:
        forecasts |= {SMOOTHING: smoothed, MEAN: by_mode[best].averaged(smoothed)}
    errors = {model: error(forecast) for model, forecast in forecasts.items()}
    chosen = min(errors, key=lambda model: errors[model] * (ADVANTAGE if model == MEAN else 1))
    return Backtest(
        origins=len(ends),
        horizon=steps,
        model=chosen,
        errors=errors,
        smape=_smape(truth, forecasts[chosen].bounded(series.floor).prediction),
        naive_mae=mean_error(truth, naive),
        mode=best,
        widening=_widening(truth, forecasts[chosen], interval),
    )


def _smoothed(series: Series, ends: list[int], steps: int, mode: Mode, interval: float) -> Forecast | None:
    """The forecasts of smoothing from all origins; None if the history cannot be smoothed."""
    forecasts = [
        smoothing.predict(cut(series, end, end), series.stamps[end : end + steps], mode, interval) for end in ends
    ]
    known = [forecast for forecast in forecasts if forecast is not None]
    return _join(known) if len(known) == len(ends) else None


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
