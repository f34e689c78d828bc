"""Decides on candidates by their evidence when the scheduler says so, and obeys the orders of persons about them."""

import functions_framework
from cloudevents.http import CloudEvent

from pipeline import http, logs, settings
from pipeline.deployment import Deployment
from pipeline.inputs import events
from pipeline.verdicts import Verdict
from promoting import orders

logs.setup()
http.describe_errors()
DEPLOYMENT = Deployment(settings.load())


@functions_framework.cloud_event
@http.event
def promote(event: CloudEvent, _: events.Receipt) -> Verdict:
    if event["type"] != events.PUBLISHED:
        return Verdict("ignored", reason=event["type"])
    return orders.carry_out(DEPLOYMENT, events.Message.parse(event))
