"""Receives Cloud Storage's events: each new object in the input bucket starts one execution."""

import functions_framework
from cloudevents.http import CloudEvent

from pipeline import http, intake, logs, settings
from pipeline.deployment import Deployment
from pipeline.inputs import events

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load(starts_executions=True))


@functions_framework.cloud_event
@http.event
def on_upload(event: CloudEvent, receipt: events.Receipt) -> intake.Verdict:
    if event["type"] != events.FINALIZED:
        return intake.Verdict("ignored", reason=event["type"])
    return intake.upload(DEPLOYMENT, events.Upload.parse(event.data), receipt)
