"""Turns an input into instances that fit into a request, or into shards of records in the work bucket."""

from typing import Any

import functions_framework

from pipeline import http, logs, settings
from pipeline.deployment import Deployment
from preprocessing import prepare

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load())


@functions_framework.http
@http.endpoint
def preprocess(body: dict[str, Any]) -> dict[str, Any]:
    return prepare.prepare(DEPLOYMENT, body)
