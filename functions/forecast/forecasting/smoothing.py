"""Damped Holt-Winters smoothing, which adapts to the latest values faster than Prophet.

The recursion is computed for many rates at once, in numpy alone: docs/decisions/6-own-smoothing.md says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from forecasting.frequency import Frequency
from forecasting.model import Forecast, Mode, Values
from forecasting.series import Series

MAX_STEPS = 3_000  # the latest; earlier ones hardly matter
HEAD_STEPS, HEAD_SEASONS = 10, 3  # from which the recursion starts
VERSION = "1"  # of what the documents call holt-winters
LEVELS = (0.02, 0.06, 0.12, 0.2, 0.35, 0.5, 0.7, 0.9, 0.99)
TRENDS = (0.0, 0.02, 0.1, 0.3)  # of the level's rate
SEASONS = (0.0, 0.03, 0.1, 0.25, 0.5)
DAMPINGS = (0.8, 0.9, 0.95, 0.98)  # damping is strong below and hardly there above
LOWEST, HIGHEST = (0.001, 0.0, 0.0, DAMPINGS[0]), (0.999, 0.999, 0.999, DAMPINGS[-1])
SPREADS = (0.15, 0.1, 0.1, 0.05)  # of the second search, around the best rates of the first
NEARBY = 200
SEED = 20_000


@dataclass(frozen=True, slots=True)
class State:
    """Level, trend per step and seasonal values after a history, and the sum of squared errors of one step ahead.

    The last dimension is that of the candidates, if there are several.
    """

    level: Values
    trend: Values
    season: Values
    squares: Values


@dataclass(frozen=True, slots=True)
class Fit:
    """The rates with the smallest errors for a season of so many steps, and the state after the history."""

    season: int
    alpha: float
    beta: float
    gamma: float
    damping: float
    state: State

    def ahead(self, count: int, steps: NDArray[np.int64]) -> Values:
        """The forecast so many steps after a history of `count`."""
        trend = np.cumsum(self.damping ** np.arange(1, steps.max() + 1))[steps - 1] * self.state.trend
        forecast: Values = self.state.level + trend + self.state.season[(count + steps - 1) % self.season]
        return forecast

    def growth(self, steps: NDArray[np.int64]) -> Values:
        """The standard deviation of errors so many steps ahead, in that of errors of one step."""
        past = np.arange(1, steps.max())  # since an error that changed the state
        damped = np.cumsum(self.damping**past)
        returns = (past % self.season == 0) & (self.season > 1)
        effects = self.alpha * (1 + self.beta * damped) + self.gamma * (1 - self.alpha) * returns
        growth: Values = np.sqrt(1 + np.concatenate([[0.0], np.cumsum(effects**2)]))[steps - 1]
        return growth


def predict(history: Series, future: Sequence[datetime], mode: Mode, interval: float) -> Forecast | None:
    """Smooths the history and forecasts `future`; None if several values share a step of the frequency.

    Args:
        mode: `multiplicative` smooths logarithms, if all values are positive.
        interval: the share of the values that the interval should contain, between 0 and 1.
    """
    position = history.frequency.position
    steps = np.array([position(stamp) for stamp in history.stamps])
    if np.any(np.diff(steps) == 0):
        return None
    logarithms = mode == "multiplicative" and float(history.values.min()) > 0
    values = _regular(steps, np.log(history.values) if logarithms else history.values)
    fits = [_fit(values, season) for season in _seasons(history.frequency, len(values))]
    best = min(fits, key=lambda fit: float(fit.state.squares))
    ahead = np.array([position(stamp) for stamp in future]) - steps[-1]
    prediction = best.ahead(len(values), ahead)
    deviation = np.sqrt(best.state.squares / np.count_nonzero(~np.isnan(values))) * best.growth(ahead)
    width = NormalDist().inv_cdf(0.5 + interval / 2) * deviation
    forecast = Forecast(prediction, prediction - width, prediction + width)
    return forecast.exponential() if logarithms else forecast


def _regular(steps: NDArray[np.int64], values: Values) -> Values:
    """The values of the latest steps, of which the first has one; NaN where one is missing."""
    latest = steps > steps[-1] - MAX_STEPS
    steps, values = steps[latest], values[latest]
    regular = np.full(steps[-1] - steps[0] + 1, np.nan)
    regular[steps - steps[0]] = values
    return regular


def _seasons(frequency: Frequency, count: int) -> list[int]:
    """The lengths of seasons to try on so many steps; 1 is none."""
    seasons = [frequency.season] if count >= 2 * frequency.season else [1]
    if frequency.unit == "second":
        week = round(frequency.per(7))
        seasons += [week] if frequency.season < week <= count / HEAD_SEASONS else []
    return seasons


def _fit(values: Values, season: int) -> Fit:
    start = _start(values, season)
    grid = np.array(list(product(LEVELS, TRENDS, SEASONS if season > 1 else (0.0,), DAMPINGS))).T
    rates = grid[:, [np.argmin(_run(values, start, grid).squares)]]
    shifts = np.random.default_rng(SEED).standard_normal((4, NEARBY)) * np.array(SPREADS)[:, None]
    rates = np.hstack([rates, np.clip(rates + shifts, np.array(LOWEST)[:, None], np.array(HIGHEST)[:, None])])
    state = _run(values, start, rates)
    best = int(np.argmin(state.squares))
    chosen = State(state.level[best], state.trend[best], state.season[:, best], state.squares[best])
    alpha, beta, gamma, damping = map(float, rates[:, best])
    return Fit(season, alpha, beta, gamma, damping, chosen)


def _start(values: Values, season: int) -> State:
    """A straight line and a season, fitted to the first steps by least squares."""
    head = values[: max(HEAD_STEPS, HEAD_SEASONS * season)]
    steps = np.flatnonzero(~np.isnan(head))
    phases = steps % season
    counts = np.maximum(np.bincount(phases, minlength=season), 1)
    times, means = (np.bincount(phases, of, season) / counts for of in (steps + 1.0, head[steps]))
    apart = steps + 1.0 - times[phases]  # the line's slope within each phase
    trend = apart @ (head[steps] - means[phases]) / max(float(apart @ apart), 1.0)
    occurs = np.isin(np.arange(season), phases)
    levels = means - trend * times
    level = levels[occurs].mean()
    return State(level, trend, np.where(occurs, levels - level, 0.0)[:, None], np.array(0.0))


def _run(values: Values, start: State, rates: Values) -> State:
    """The states after all values, one for each column of rates: of level, trend and season, and the damping."""
    alpha, beta, gamma, damping = rates
    zeros = np.zeros(rates.shape[1])
    level, trend, season = zeros + start.level, zeros + start.trend, zeros + start.season
    squares, trend_rate, season_rate = zeros, alpha * beta, gamma * (1 - alpha)
    for step, value in enumerate(values):
        trend = damping * trend
        level = level + trend
        if value == value:
            row = step % len(season)
            error = value - level - season[row]
            squares = squares + error * error
            level = level + alpha * error
            trend = trend + trend_rate * error
            season[row] += season_rate * error
    return State(level, trend, season, squares)
