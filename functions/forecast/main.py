"""Forecasts an uploaded time series with Prophet and smoothing: returns future values and their intervals."""

from typing import Any

import functions_framework

from forecasting.answer import answer
from pipeline import http, logs, settings
from pipeline.formats import text
from pipeline.inputs import objects
from pipeline.jobs.job import Job

logs.setup()
http.describe_errors()
SETTINGS = settings.load()


@functions_framework.http
@http.endpoint
def forecast(body: dict[str, Any]) -> dict[str, Any]:
    job = Job.parse(body)
    source = job.content()
    data = objects.read(source, SETTINGS.max_bytes["timeseries"])
    charset = objects.charset(source)
    codec, _ = text.encoding(data, charset)
    return answer(text.decode(data, charset, strict=False), job.parameters, SETTINGS.revision, codec)
