"""Writes a job's one terminal document, with the data beside it; of a batch under way, how far it is."""

from typing import Any

import functions_framework

from pipeline import http, logs, settings
from pipeline.deployment import Deployment
from postprocessing import microbatch, progress, results

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load())


@functions_framework.http
@http.endpoint
def postprocess(body: dict[str, Any]) -> dict[str, Any]:
    if microbatch.is_asked(body):
        return microbatch.conclude(DEPLOYMENT, body)
    if "progress" in body:
        return progress.report(DEPLOYMENT, body)
    return results.conclude(DEPLOYMENT, body)
