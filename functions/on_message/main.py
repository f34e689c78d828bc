"""Receives Pub/Sub messages: notifications, inline instances, manifests and commands such as the scheduler's."""

import functions_framework
from cloudevents.http import CloudEvent

from messaging import router
from pipeline import http, logs, settings
from pipeline.deployment import Deployment
from pipeline.inputs import events
from pipeline.verdicts import Verdict

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load(starts_executions=True))


@functions_framework.cloud_event
@http.event
def on_message(event: CloudEvent, receipt: events.Receipt) -> Verdict:
    if event["type"] != events.PUBLISHED:
        return Verdict("ignored", reason=event["type"])
    return router.take_in(DEPLOYMENT, events.Message.parse(event), receipt)
