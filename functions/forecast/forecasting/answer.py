"""Forecasts a decoded file under its parameters, and builds the response."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from forecasting import backtest, model, series, smoothing
from forecasting.backtest import MEAN, PROPHET, SMOOTHING, Backtest, Model, significant
from forecasting.frequency import Frequency
from forecasting.model import Forecast, Seasonality
from forecasting.options import Options
from forecasting.series import Series
from pipeline.errors import RejectedError
from pipeline.tabular.reader import HEAD_CHARS
from pipeline.tabular.writer import Dialect

MODELS: dict[Model, str] = {
    PROPHET: "The model is Prophet alone, which erred least in the backtest.",
    SMOOTHING: "The model is damped Holt-Winters smoothing alone, which erred least in the backtest.",
    MEAN: "The forecast is the mean of Prophet's and that of damped Holt-Winters smoothing.",
}


def answer(text: str, parameters: Mapping[str, Any], revision: str, codec: str = "utf-8") -> dict[str, Any]:
    """Forecasts the series in `text`, which was decoded by `codec`.

    Returns:
        {predictions: [{date, prediction, lower, upper}], model, parameters, device, timing: {inference_ms},
        series, backtest, dialect, revision}.

    Raises:
        RejectedError: the file or a parameter does not allow a forecast.
    """
    options = Options.parse(parameters)
    history = series.read(text, options)
    future = history.frequency.after(history.stamps[-1], options.horizon)
    version = model.version()  # imports Prophet, before inference is timed
    started = time.perf_counter()
    pattern, left_out = model.seasonality(history)
    tested = backtest.run(history, pattern, options.horizon, options.interval_width)
    forecast = _forecast(history, future, pattern, tested, options.interval_width)
    forecast = forecast.widened(tested.widening).bounded(history.floor)
    elapsed = (time.perf_counter() - started) * 1000
    return {
        "predictions": _predictions(history.frequency, future, forecast),
        "model": {
            "name": tested.model,
            "version": smoothing.VERSION if tested.model == SMOOTHING else version,
            "task": "time-series-forecasting",
            "source": tested.model,
            "revision": tested.mode,
        },
        "parameters": options.json(),
        "device": "cpu",
        "timing": {"inference_ms": round(elapsed, 3)},
        "series": _series(history, [*left_out, *_notes(history, tested, options)]),
        "backtest": tested.json(),
        "dialect": Dialect.of(text[:HEAD_CHARS], codec, history.delimiter, decimal=history.decimal).json(),
        "revision": revision,
    }


def _forecast(
    history: Series, future: list[datetime], pattern: Seasonality, tested: Backtest, interval: float
) -> Forecast:
    """By the model that the backtest chose."""
    smoothed = smoothing.predict(history, future, tested.mode, interval) if tested.model != PROPHET else None
    if smoothed is not None and tested.model == SMOOTHING:
        return smoothed
    forecast = model.predict(history, future, pattern, tested.mode, interval)
    return forecast if smoothed is None else forecast.averaged(smoothed)


def _predictions(frequency: Frequency, future: list[datetime], forecast: Forecast) -> list[dict[str, Any]]:
    columns = (forecast.prediction, forecast.lower, forecast.upper)
    if not all(np.isfinite(values).all() for values in columns):
        raise RejectedError("no_usable_column", "The values are too large to forecast.")
    return [
        {
            "date": _date(frequency, stamp),
            "prediction": significant(value),
            "lower": significant(min(lower, value)),
            "upper": significant(max(upper, value)),
        }
        for stamp, value, lower, upper in zip(future, *columns, strict=True)
    ]


def _date(frequency: Frequency, stamp: datetime) -> str:
    """A date if the steps are days or longer and at midnight, else a date with a time."""
    at_midnight = (stamp.hour, stamp.minute, stamp.second) == (0, 0, 0)
    return stamp.date().isoformat() if frequency.unit != "second" and at_midnight else stamp.isoformat()


def _series(history: Series, notes: list[str]) -> dict[str, Any]:
    return {
        "rows": history.rows,
        "used": len(history.stamps),
        "dropped": history.rows - history.combined - len(history.stamps),
        "frequency": history.frequency.alias,
        "frequency_words": history.frequency.words,
        "date_column": history.date_column,
        "value_column": history.value_column,
        "date_format": history.date_format,
        "start": _date(history.frequency, history.stamps[0]),
        "end": _date(history.frequency, history.stamps[-1]),
        "notes": [*history.notes, *notes],
    }


def _notes(history: Series, tested: Backtest, options: Options) -> list[str]:
    notes = [f"The intervals are meant to contain {options.interval_width:.0%} of the values."]
    notes.append(MODELS[tested.model])
    if tested.widening > 1:
        notes.append(
            f"They are {tested.widening:.2g} times as wide as the model's own, which were too narrow in the backtest."
        )
    if history.floor is not None:
        notes.append("The history is never negative: predictions and intervals are kept at 0 or above.")
    if tested.mae > 1.1 * tested.naive_mae:
        notes.append("In the backtest the value one season earlier was the better forecast: treat this one with care.")
    if len(history.stamps) > backtest.MAX_HISTORY:
        notes.append(f"The errors were measured on models of at most {backtest.MAX_HISTORY} points each.")
    if len(history.stamps) > model.MAX_FITTED:
        notes.append(f"The latest {model.MAX_FITTED} points were fitted; a yearly pattern counts some of the others.")
    if options.horizon > len(history.stamps):
        notes.append("The forecast is longer than the history.")
    return notes
