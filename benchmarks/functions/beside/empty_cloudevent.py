"""A function that does nothing with an event."""

import functions_framework
from cloudevents.http import CloudEvent


@functions_framework.cloud_event
def beside(_: CloudEvent) -> None:
    pass
