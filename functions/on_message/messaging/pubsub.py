"""Publishes and pulls messages; the clients honour PUBSUB_EMULATOR_HOST by themselves."""

import base64
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import DeadlineExceeded

from pipeline.inputs.events import Message

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
    from google.pubsub_v1.types import ReceivedMessage

WAIT_SECONDS = 2.0  # for the first message; an empty pull is kept open by the service
TIMEOUT_SECONDS = 30


@functools.cache
def publisher() -> "PublisherClient":
    from google.cloud.pubsub_v1 import PublisherClient

    return PublisherClient()


def publish(topic: str, body: dict[str, Any]) -> str:
    """Publishes a JSON message to a topic, by resource name, and returns its id once it is kept."""
    data = json.dumps(body, ensure_ascii=False).encode()
    published: str = publisher().publish(topic, data).result(timeout=TIMEOUT_SECONDS)
    return published


@dataclass(frozen=True, slots=True)
class Pulled:
    """A message, leased until it is acknowledged, given back, or the subscription's deadline is over."""

    ack_id: str
    message: Message


@functools.cache
def subscriber() -> "SubscriberClient":
    from google.cloud.pubsub_v1 import SubscriberClient

    return SubscriberClient()


def pull(subscription: str, limit: int) -> list[Pulled]:
    """Leases up to `limit` messages of a subscription, by resource name; none when there seem to be no more."""
    pulled: list[Pulled] = []
    while len(pulled) < limit:
        request = {"subscription": subscription, "max_messages": limit - len(pulled)}
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
    """Has messages delivered again without waiting for the deadline."""
    if ack_ids:
        request = {"subscription": subscription, "ack_ids": ack_ids, "ack_deadline_seconds": 0}
        subscriber().modify_ack_deadline(request=request, timeout=TIMEOUT_SECONDS)


def _read(subscription: str, received: "ReceivedMessage") -> Pulled:
    """The message as a push delivers it; what is pulled does not say of which topic it is."""
    message = received.message
    read = Message(
        topic=subscription.rpartition("/")[2],
        id=message.message_id,
        data=base64.b64encode(message.data).decode() or None,
        attributes=dict(message.attributes),
        attempt=received.delivery_attempt or 1,
    )
    return Pulled(received.ack_id, read)
