"""Writes a job's one terminal document, with the data beside it, from what its execution came to."""

from typing import Any

import functions_framework

from pipeline import conclusions, http, logs, settings

logs.setup()
http.describe_errors()
SETTINGS = settings.load()


@functions_framework.http
@http.endpoint
def postprocess(body: dict[str, Any]) -> dict[str, Any]:
    return conclusions.conclude(SETTINGS, body)
