"""Damped Holt-Winters smoothing: its recursion, what it continues, its intervals and its limits."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from forecasting import smoothing, spacing
from forecasting.frequency import Frequency
from forecasting.model import Forecast, Mode
from forecasting.series import Series


def history(values: np.ndarray, freq: str = "MS", frequency: Frequency | None = None) -> tuple[Series, list[datetime]]:
    """A series and its next 12 stamps; a value of NaN is missing."""
    stamps = [stamp.to_pydatetime() for stamp in pd.date_range("2019-01-01", periods=len(values) + 12, freq=freq)]
    known = [place for place, value in enumerate(values) if value == value]
    kept = [stamps[place] for place in known]
    series = Series(
        stamps=kept, values=values[known], frequency=frequency or spacing.infer(kept), date_column="date",
        value_column="value", date_format="", rows=len(kept),
    )  # fmt: skip
    return series, stamps[len(values) :]


def predict(values: np.ndarray, freq: str = "MS", mode: Mode = "additive", interval: float = 0.8) -> Forecast:
    series, future = history(values, freq)
    forecast = smoothing.predict(series, future, mode, interval)
    assert forecast is not None
    return forecast


def yearly(count: int, size: float = 10.0) -> np.ndarray:
    return size * np.sin(2 * np.pi * np.arange(count) / 12)


def test_the_recursion_is_the_textbooks():
    """Hyndman and Athanasopoulos, Forecasting: Principles and Practice, section 8.3, in error-correction form."""
    values = np.array([3.0, 5.0, np.nan, 4.0, 7.0, 6.0, 9.0])
    level, trend, season, squares = 2.0, 0.5, [0.3, -0.3], 0.0
    alpha, beta, gamma, damping = 0.4, 0.2, 0.3, 0.9
    for step, value in enumerate(values):
        forecast = level + damping * trend
        error = 0.0 if np.isnan(value) else value - forecast - season[step % 2]
        level = forecast + alpha * error
        trend = damping * trend + alpha * beta * error
        season[step % 2] += gamma * (1 - alpha) * error
        squares += error**2
    start = smoothing.State(np.array(2.0), np.array(0.5), np.array([[0.3], [-0.3]]), np.array(0.0))
    rates = np.array([[alpha, 0.9], [beta, 0.1], [gamma, 0.0], [damping, 0.8]])
    state = smoothing._run(values, start, rates)
    found = (state.level[0], state.trend[0], *state.season[:, 0], state.squares[0])
    assert found == pytest.approx((level, trend, *season, squares))


def test_a_pattern_without_noise_is_continued():
    forecast = predict(100 + yearly(60))
    np.testing.assert_allclose(forecast.prediction, 100 + yearly(12), atol=0.1)


def test_the_latest_level_counts():
    values = np.concatenate([np.full(40, 10.0), np.full(20, 30.0)]) + np.random.default_rng(1).normal(0, 0.5, 60)
    assert predict(values).prediction == pytest.approx(np.full(12, 30.0), abs=2)


def test_a_trend_is_damped():
    prediction = predict(np.arange(60.0)).prediction
    steps = np.diff(prediction)
    assert np.all(steps > 0)
    assert np.all(np.diff(steps) < 0)


def test_gaps_do_not_shift_the_season():
    values = 100 + yearly(72)
    values[[5, 20, 21, 22, 40]] = np.nan
    np.testing.assert_allclose(predict(values).prediction, 100 + yearly(12), atol=0.5)


def test_a_long_gap_before_the_latest_steps_is_no_start():
    values = np.random.default_rng(5).normal(100, 1, 4_000)
    values[500:1_100] = np.nan
    assert predict(values, "h").prediction == pytest.approx(np.full(12, 100.0), abs=3)


def test_multiplicative_seasons_grow_with_the_level():
    growth = 1.02 ** np.arange(84)
    values = 100 * growth[:72] * (1 + yearly(72, 0.3))
    truth = 100 * growth[72:] * (1 + yearly(12, 0.3))
    errors = {
        mode: np.abs(predict(values, mode=mode).prediction - truth).mean() for mode in ("additive", "multiplicative")
    }
    assert errors["multiplicative"] < errors["additive"] / 2
    zero = values.copy()
    zero[3] = 0  # has no logarithm
    assert np.isfinite(predict(zero, mode="multiplicative").prediction).all()


def test_intervals_contain_their_share_of_random_walks():
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(40):
        walk = rng.normal(0, 1, 92).cumsum()
        forecast = predict(walk[:80], "YS")
        inside.append((forecast.lower <= walk[80:]) & (walk[80:] <= forecast.upper))
    assert np.mean(inside) == pytest.approx(0.8, abs=0.1)


def test_intervals_of_a_random_walk_widen():
    forecast = predict(np.random.default_rng(3).normal(0, 1, 80).cumsum(), "YS")
    assert np.all(np.diff(forecast.upper - forecast.prediction) > 0)


def test_a_history_shorter_than_two_seasons_has_none():
    steps = np.diff(predict(100 + yearly(20)).prediction)
    assert np.all(steps > 0) or np.all(steps < 0)
    assert np.ptp(predict(100 + yearly(24)).prediction) > 15


def test_only_the_latest_steps_of_a_long_history_count():
    values = np.random.default_rng(4).normal(100, 1, 5_000)
    other = np.concatenate([values[:1_000] + 50, values[1_000:]])
    other[1_000:2_000] += 50
    np.testing.assert_array_equal(predict(values, "h").prediction, predict(other, "h").prediction)


def test_several_values_in_a_step_are_not_smoothed():
    series, future = history(np.arange(60.0), "D", Frequency("month"))
    assert smoothing.predict(series, future, "additive", 0.8) is None
