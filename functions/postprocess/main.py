"""Writes a job's one terminal document, with the data beside it; of a batch under way, how far it is."""

from typing import Any

import functions_framework

from pipeline import http, logs, settings
from postprocessing import microbatch, progress, results

logs.setup()
http.describe_errors()
SETTINGS = settings.load()


@functions_framework.http
@http.endpoint
def postprocess(body: dict[str, Any]) -> dict[str, Any]:
    if microbatch.is_asked(body):
        return microbatch.conclude(SETTINGS, body)
    if "progress" in body:
        return progress.report(SETTINGS, body)
    return results.conclude(SETTINGS, body)
