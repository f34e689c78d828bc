"""Which model forecasts: the mean of Prophet and smoothing, or one of them that is clearly better."""

import numpy as np
import pandas as pd
import pytest

from forecasting.answer import MODELS, answer

HORIZON = 14

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:prophet.*")


def response(values: np.ndarray, freq: str = "D") -> dict:
    stamps = pd.date_range("2022-01-03", periods=len(values), freq=freq)
    rows = "".join(f"{stamp.date()},{value:.6f}\n" for stamp, value in zip(stamps, values, strict=True))
    return answer("date,value\n" + rows, {"horizon": HORIZON}, "1")


def weekly(count: int) -> np.ndarray:
    return 10 * np.sin(2 * np.pi * np.arange(count) / 7)


def shifted() -> np.ndarray:
    """A level that changes a while before the end, which a trend of few changepoints follows late."""
    levels = np.repeat([100.0, 160.0, 90.0, 150.0], [100, 60, 40, 60])
    return levels + weekly(260) + np.random.default_rng(1).normal(0, 1, 260)


def noisy() -> np.ndarray:
    return 100 + 0.2 * np.arange(260) + weekly(260) + np.random.default_rng(2).normal(0, 15, 260)


@pytest.mark.parametrize("values", [shifted(), noisy()], ids=["shifted", "noisy"])
def test_the_mean_is_left_only_for_a_clearly_better_model(values: np.ndarray):
    found = response(values)
    errors, name = found["backtest"]["errors"], found["model"]["name"]
    assert errors[name] <= errors["prophet+holt-winters"] * (1 if name == "prophet+holt-winters" else 0.95)
    assert MODELS[name] in found["series"]["notes"]
    assert found["backtest"]["mae"] == errors[name]


def test_a_changed_level_is_followed():
    found = response(shifted())
    assert "holt-winters" in found["model"]["name"]
    assert found["backtest"]["mae"] < 0.7 * found["backtest"]["errors"]["prophet"]
    predicted = np.array([entry["prediction"] for entry in found["predictions"]])
    assert np.mean(np.abs(predicted - 150 - weekly(274)[260:])) < 15


def test_a_history_that_cannot_be_smoothed_is_prophets():
    """A month that was asked for has several daily values."""
    rows = "".join(f"{day.date()},{step % 5}\n" for step, day in enumerate(pd.date_range("2022-01-01", periods=90)))
    found = answer("date,value\n" + rows, {"horizon": 2, "frequency": "MS"}, "1")
    assert found["model"]["name"] == "prophet"
    assert found["backtest"]["errors"].keys() == {"prophet"}
