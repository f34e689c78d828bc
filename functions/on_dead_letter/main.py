"""Receives dead letters: events that no function accepted end in a failed document."""

import functions_framework
from cloudevents.http import CloudEvent

import dead_letters
from pipeline import http, intake, logs, settings
from pipeline.deployment import Deployment
from pipeline.inputs import events

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load())


@functions_framework.cloud_event
@http.event
def on_dead_letter(event: CloudEvent, receipt: events.Receipt) -> intake.Verdict:
    if event["type"] != events.PUBLISHED:
        return intake.Verdict("ignored", reason=event["type"])
    return dead_letters.bury(DEPLOYMENT, events.Message.parse(event), receipt)
