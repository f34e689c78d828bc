"""Publishes and pulls messages; the clients honour PUBSUB_EMULATOR_HOST by themselves."""

import base64
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import DeadlineExceeded

from pipeline.inputs.events import Message

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
    from google.pubsub_v1.types import ReceivedMessage

WAIT_SECONDS = 2.0  # for the first message; the service keeps an empty pull open
TIMEOUT_SECONDS = 30


@functools.cache
def publisher() -> "PublisherClient":
    from google.cloud.pubsub_v1 import PublisherClient

    return PublisherClient()


def publish(topic: str, body: dict[str, Any]) -> str:
    """Publishes a JSON message to a topic, by resource name, and returns its id once it is stored."""
    data = json.dumps(body, ensure_ascii=False).encode()
    message_id: str = publisher().publish(topic, data).result(timeout=TIMEOUT_SECONDS)
    return message_id


@dataclass(frozen=True, slots=True)
class Pulled:
    """A message, leased until it is acknowledged or returned, or its deadline expires."""

    ack_id: str
    message: Message


@functools.cache
def subscriber() -> "SubscriberClient":
    from google.cloud.pubsub_v1 import SubscriberClient

    return SubscriberClient()


def pull(subscription: str, limit: int, *, waits: bool = True) -> list[Pulled]:
    """Leases up to `limit` messages of a subscription, by resource name; fewer if no more are waiting.

    Args:
        waits: whether to wait for the first message. Without, Pub/Sub answers immediately, and may leave out some.
    """
    pulled: list[Pulled] = []
    while len(pulled) < limit:
        request: dict[str, Any] = {"subscription": subscription, "max_messages": limit - len(pulled)}
        if not waits:
            request["return_immediately"] = True
        try:
            answer = subscriber().pull(request=request, timeout=WAIT_SECONDS)
        except DeadlineExceeded:
            break
        if not answer.received_messages:
            break
        pulled += [_read(subscription, received) for received in answer.received_messages]
    return pulled


def acknowledge(subscription: str, ack_ids: Sequence[str]) -> None:
    if ack_ids:
        subscriber().acknowledge(request={"subscription": subscription, "ack_ids": ack_ids}, timeout=TIMEOUT_SECONDS)


def give_back(subscription: str, ack_ids: Sequence[str]) -> None:
    """Returns messages for redelivery before their deadline."""
    if ack_ids:
        request = {"subscription": subscription, "ack_ids": ack_ids, "ack_deadline_seconds": 0}
        subscriber().modify_ack_deadline(request=request, timeout=TIMEOUT_SECONDS)


def _read(subscription: str, received: "ReceivedMessage") -> Pulled:
    """The message as a push delivers it, with the subscription's name for the topic's, which a pull does not report."""
    message = received.message
    published: datetime | None = message.publish_time
    read = Message(
        topic=subscription.rpartition("/")[2],
        id=message.message_id,
        data=base64.b64encode(message.data).decode() or None,
        attributes=dict(message.attributes),
        published=published.isoformat() if published else None,
        attempt=received.delivery_attempt or 1,
    )
    return Pulled(received.ack_id, read)
