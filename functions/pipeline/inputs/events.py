"""Reads CloudEvents: their receipt, and the Pub/Sub messages that some of them carry."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import flask

from pipeline.errors import MalformedError
from pipeline.times import timestamp

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

FINALIZED = "google.cloud.storage.object.v1.finalized"
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
TOPIC = re.compile(r"^//pubsub\.googleapis\.com/(projects/[^/]+/topics/([^/]+))$")
MESSAGE_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """When an event arrived (RFC 3339), and the trace that it belongs to."""

    event_id: str
    received_at: str
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A Pub/Sub message; `data` is still base64, None if there is none.

    `topic` is an id, `path` the topic's resource name if the event has it; `attempt` counts deliveries from 1.
    """

    topic: str
    id: str
    data: object
    attributes: Mapping[str, str]
    path: str | None = None
    published: str | None = None
    attempt: int = 1

    @classmethod
    def parse(cls, event: "CloudEvent") -> Self:
        """Reads a messagePublished event.

        Raises:
            MalformedError: there is no message, or it has no usable id.
        """
        data = event.data
        message = data.get("message") if isinstance(data, dict) else None
        if not isinstance(message, dict):
            raise MalformedError("The event's data must contain a message.")
        message_id = message.get("messageId") or message.get("message_id")
        if not isinstance(message_id, str) or not MESSAGE_ID.fullmatch(message_id):
            raise MalformedError("message.messageId must be a string of letters, digits, dots, dashes.")
        attributes = message.get("attributes") or {}
        if not isinstance(attributes, dict):
            raise MalformedError("message.attributes must be an object.")
        topic = TOPIC.search(str(event["source"]))
        published, attempt = message.get("publishTime"), data.get("deliveryAttempt")
        return cls(
            topic=topic[2] if topic else "unknown",  # a bare push has its topic in the URL's path, or nowhere
            id=message_id,
            data=message.get("data"),
            attributes={key: value for key, value in attributes.items() if isinstance(value, str)},
            path=topic[1] if topic else None,
            published=published if isinstance(published, str) else None,
            attempt=attempt if type(attempt) is int else 1,
        )


def receipt(event: "CloudEvent") -> Receipt:
    extension = event.get("traceparent")
    trace = extension if isinstance(extension, str) and TRACEPARENT.fullmatch(extension) else request_trace()
    return Receipt(str(event["id"]), timestamp(), trace)


def request_trace() -> str | None:
    """The W3C traceparent of the current request, if it has a valid one."""
    header = flask.request.headers.get("traceparent", "") if flask.has_request_context() else ""
    return header if TRACEPARENT.fullmatch(header) else None
