"""Forecasts an uploaded time series: reads the file, fits Prophet, answers with future values and their intervals."""

import os
from typing import Any

import functions_framework
from forecasting.answer import answer

from pipeline import http, inputs, logs, settings, text
from pipeline.jobs import Job

logs.setup()
http.describe_errors()
REVISION = os.environ.get("K_REVISION") or "local"


@functions_framework.http
@http.endpoint
def forecast(argument: dict[str, Any]) -> dict[str, Any]:
    """Takes the workflow's argument; RejectedError becomes 422, a malformed argument 400."""
    job = Job.parse(argument)
    data = inputs.read(job.object_input(), settings.MAX_BYTES["timeseries"])
    return answer(text.decode(data), job.parameters, REVISION)
