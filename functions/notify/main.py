"""Tells the configured endpoints that a document has been written, and tries again those that did not take it."""

import functions_framework
from cloudevents.http import CloudEvent

from notifying import handling, settings
from pipeline import http, logs
from pipeline import settings as pipeline_settings
from pipeline.deployment import Deployment
from pipeline.inputs import events
from pipeline.verdicts import Verdict

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(pipeline_settings.load())
NOTIFIER = handling.Notifier(DEPLOYMENT, settings.load())


@functions_framework.cloud_event
@http.event
def notify(event: CloudEvent, _: events.Receipt) -> Verdict:
    if event["type"] != events.PUBLISHED:
        return Verdict("ignored", reason=event["type"])
    return NOTIFIER.handle(events.Message.parse(event))
