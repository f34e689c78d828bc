"""Receives dead letters: events that no function accepted, which end in a failed document."""

import functions_framework
from cloudevents.http import CloudEvent

import dead_letters
from pipeline import http, logs, settings
from pipeline.deployment import Deployment
from pipeline.inputs import events
from pipeline.verdicts import Verdict

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load())


@functions_framework.cloud_event
@http.event
def on_dead_letter(event: CloudEvent, receipt: events.Receipt) -> Verdict:
    if event["type"] != events.PUBLISHED:
        return Verdict("ignored", reason=event["type"])
    return dead_letters.conclude(DEPLOYMENT, events.Message.parse(event), receipt)
