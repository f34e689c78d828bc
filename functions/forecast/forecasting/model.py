"""Fits Prophet to a history with the seasonal patterns that it supports, and forecasts with intervals."""

import functools
import logging
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from forecasting.frequency import Frequency
from forecasting.series import Series

if TYPE_CHECKING:
    from prophet import Prophet

Mode = Literal["additive", "multiplicative"]
Values = NDArray[np.float64]

SEED = 20_000
ALGORITHM = "LBFGS"  # below 100 points Prophet uses Newton, which is as accurate but several times slower
MAX_ITERATIONS = 2_000  # of the optimizer; usually it needs some hundred
NEWTON_POINTS = 1_000  # up to which Newton is tried where the optimizer fails; beyond it takes minutes
SAMPLES = 1000  # simulated futures behind the intervals
YEAR, WEEK = 365.25, 7.0
MIN_SEASONS = 2
MAX_FITTED = 8_000  # points as they are; without a yearly pattern earlier ones make forecasts slower and worse
STRIDE = 5  # between the points before them that a yearly pattern needs; it meets each hour of the day and the week
MAX_LOG = 700.0  # whose exponential is still finite
SLACK = 0.99  # 24 monthly stamps span a little less than two years

_drawing = threading.Lock()  # Prophet draws from numpy's global generator


@dataclass(frozen=True, slots=True)
class Seasonality:
    """Fourier orders of the patterns to fit; 0 leaves one out."""

    yearly: int
    weekly: int
    daily: int

    def __bool__(self) -> bool:
        return bool(self.yearly or self.weekly or self.daily)

    @property
    def longest(self) -> float:
        """The length of the longest pattern in days; 0 without any."""
        return YEAR if self.yearly else WEEK if self.weekly else 1.0 if self.daily else 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """One value per future stamp, with the bounds of its interval."""

    prediction: Values
    lower: Values
    upper: Values

    def widened(self, factor: float) -> "Forecast":
        """The same prediction with bounds `factor` times as far from it."""
        lower = self.prediction - factor * np.maximum(self.prediction - self.lower, 0)
        upper = self.prediction + factor * np.maximum(self.upper - self.prediction, 0)
        return Forecast(self.prediction, lower, upper)

    def averaged(self, other: "Forecast") -> "Forecast":
        """The mean of two predictions, with bounds as far from it as the mean of theirs."""
        names = ("prediction", "lower", "upper")
        return Forecast(*((getattr(self, name) + getattr(other, name)) / 2 for name in names))

    def exponential(self) -> "Forecast":
        """The values whose logarithms these are, those too large for a number excepted."""
        return Forecast(*(np.exp(np.minimum(values, MAX_LOG)) for values in (self.prediction, self.lower, self.upper)))

    def bounded(self, floor: float | None) -> "Forecast":
        """No value below `floor`."""
        low = -np.inf if floor is None else floor
        return Forecast(*(np.maximum(values, low) for values in (self.prediction, self.lower, self.upper)))


def seasonality(series: Series) -> tuple[Seasonality, list[str]]:
    """The patterns of which the history has at least two seasons, and a note on each of the others."""
    frequency, notes = series.frequency, list[str]()
    orders = {}
    for name, days, most in (("yearly", YEAR, 10), ("weekly", WEEK, 3), ("daily", 1.0, 4)):
        steps = _steps(frequency, days)
        orders[name] = min(most, steps // 2)
        if orders[name] and span(series) < SLACK * MIN_SEASONS * days:
            orders[name] = 0
            unit = {"yearly": "years", "weekly": "weeks", "daily": "days"}[name]
            notes.append(f"The history is shorter than two {unit}, so no {name} pattern is fitted.")
    return Seasonality(**orders), notes


def _steps(frequency: Frequency, days: float) -> int:
    """The number of steps in a season."""
    if days == 1.0:
        return round(frequency.per(days * 7) / len(frequency.weekdays)) if frequency.unit == "second" else 1
    return round(frequency.per(days))


def span(series: Series) -> float:
    """The days that the history covers, including its last step."""
    return (series.stamps[-1] - series.stamps[0]).total_seconds() / 86_400 + 1 / series.frequency.per(1)


def predict(series: Series, future: Sequence[datetime], pattern: Seasonality, mode: Mode, interval: float) -> Forecast:
    """Fits the history, or the part of a long one that counts, and forecasts `future`, deterministically.

    Args:
        interval: the share of the values that the interval should contain, between 0 and 1.
    """
    import pandas as pd

    model = _model(pattern, mode, interval)
    chosen = fitted(len(series.stamps), pattern)
    stamps = [series.stamps[index] for index in chosen]
    history = pd.DataFrame({"ds": pd.DatetimeIndex(stamps), "y": series.values[chosen]})
    with tempfile.TemporaryDirectory() as folder:  # the disk is in memory, so nothing may remain there
        model.fit(
            history,
            seed=SEED,
            algorithm=ALGORITHM,
            iter=MAX_ITERATIONS,
            require_converged=len(history) <= NEWTON_POINTS,
            output_dir=folder,
        )
    with _drawing:
        np.random.seed(SEED)
        predicted = model.predict(pd.DataFrame({"ds": pd.DatetimeIndex(list(future))}))
    return Forecast(*(predicted[name].to_numpy(dtype=np.float64) for name in ("yhat", "yhat_lower", "yhat_upper")))


def fitted(count: int, pattern: Seasonality) -> list[int]:
    """The indices of the points to fit: the latest, and some of the others if there is a yearly pattern."""
    start = max(0, count - MAX_FITTED)
    earlier = range(start % STRIDE, start, STRIDE) if pattern.yearly else ()
    return [*earlier, *range(start, count)]


def version() -> str:
    return str(_prophet().__version__)


def _model(pattern: Seasonality, mode: Mode, interval: float) -> "Prophet":
    model: Prophet = _prophet().Prophet(
        yearly_seasonality=pattern.yearly or False,
        weekly_seasonality=pattern.weekly or False,
        daily_seasonality=pattern.daily or False,
        seasonality_mode=mode,
        interval_width=interval,
        uncertainty_samples=SAMPLES,
    )
    return model


@functools.cache
def _prophet() -> Any:
    """The prophet package, imported on first use, and without its plots, which take most of the time."""
    with _without_plots():
        import prophet

    # Both log each fit at INFO; cmdstanpy, which is imported later, sets its own level.
    logging.getLogger("prophet").setLevel(logging.ERROR)
    logging.getLogger("cmdstanpy").disabled = True
    return prophet


@contextmanager
def _without_plots() -> Iterator[None]:
    """Makes matplotlib and plotly fail to import, which Prophet tolerates, and suppresses its log message."""
    log = logging.getLogger("prophet.plot")
    hidden = [name for name in ("matplotlib", "plotly") if name not in sys.modules]
    log.disabled = True
    try:
        for name in hidden:
            sys.modules[name] = None  # type: ignore[assignment]
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        log.disabled = False
