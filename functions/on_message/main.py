"""Receives Pub/Sub messages: notifications, inline instances, manifests and orders such as the scheduler's."""

import functions_framework
from cloudevents.http import CloudEvent

from messaging import router
from pipeline import http, intake, logs, settings
from pipeline.deployment import Deployment
from pipeline.inputs import events

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load(starts_executions=True))


@functions_framework.cloud_event
@http.event
def on_message(event: CloudEvent, receipt: events.Receipt) -> intake.Verdict:
    if event["type"] != events.PUBLISHED:
        return intake.Verdict("ignored", reason=event["type"])
    return router.take_in(DEPLOYMENT, events.Message.parse(event), receipt)
