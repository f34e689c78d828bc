"""Writes a job's terminal document with its data, the progress of a batch, and a candidate's unseen answer."""

from typing import Any

import functions_framework

from pipeline import http, logs, settings
from pipeline.deployment import Deployment
from postprocessing import conclusion, microbatch, progress, shadow

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load())


@functions_framework.http
@http.endpoint
def postprocess(body: dict[str, Any]) -> dict[str, Any]:
    if microbatch.is_addressed(body):
        return microbatch.conclude(DEPLOYMENT, body)
    if "progress" in body:
        return progress.report(DEPLOYMENT, body)
    if "shadow" in body:
        return shadow.keep(DEPLOYMENT, body)
    return conclusion.conclude(DEPLOYMENT, body)
