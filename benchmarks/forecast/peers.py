"""Forecasts to compare with: Prophet as it is installed, automatic exponential smoothing, and the season before."""

import logging
import warnings
from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Values = NDArray[np.float64]
Peer = Callable[["pd.Series[float]", pd.DatetimeIndex, int], Values]

ETS_POINTS = 730  # the latest; smoothing forgets, and the fifteen models of more points would take minutes
MAX_SEASON = 24  # of ETS, as in R's forecast package


def seasonal_naive(history: "pd.Series[float]", future: pd.DatetimeIndex, season: int) -> Values:
    """The value of the same step of the last known season."""
    last = history.to_numpy()[-season:]
    return np.resize(last, len(future)) if len(last) == season else np.full(len(future), last[-1])


def prophet(history: "pd.Series[float]", future: pd.DatetimeIndex, _season: int) -> Values:
    """Prophet with its own defaults."""
    from prophet import Prophet

    logging.getLogger("prophet").setLevel(logging.ERROR)
    logging.getLogger("cmdstanpy").disabled = True
    model = Prophet()
    model.fit(pd.DataFrame({"ds": history.index, "y": history.to_numpy()}), seed=1)
    predicted: Values = model.predict(pd.DataFrame({"ds": future}))["yhat"].to_numpy()
    return predicted


def ets(history: "pd.Series[float]", future: pd.DatetimeIndex, season: int) -> Values:
    """The exponential smoothing of the lowest AICc, chosen among the models that R's ets tries."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    values = history.to_numpy()[-ETS_POINTS:]
    seasonal = 1 < season <= MAX_SEASON and len(values) > 2 * season + 5
    best, chosen = np.inf, np.full(len(future), values[-1])
    errors = ("add", "mul") if values.min() > 0 else ("add",)
    for error, (trend, damped), pattern in product(
        errors, ((None, False), ("add", False), ("add", True)), (None, *errors) if seasonal else (None,)
    ):
        if pattern == "mul" and error == "add":  # numerically unstable, as R's documentation says
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ETSModel(
                values, error=error, trend=trend, damped_trend=damped, seasonal=pattern,
                seasonal_periods=season if pattern else None,
            )  # fmt: skip
            fitted = model.fit(disp=False, maxiter=200)
            predicted = np.asarray(fitted.forecast(len(future)))
        if fitted.aicc < best and np.isfinite(predicted).all():
            best, chosen = fitted.aicc, predicted
    return chosen


PEERS: dict[str, Peer] = {"seasonal naive": seasonal_naive, "Prophet's default": prophet, "ETS": ets}
