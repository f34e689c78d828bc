"""Publishes and pulls messages; the clients honour PUBSUB_EMULATOR_HOST by themselves."""

import base64
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import DeadlineExceeded

from pipeline import logs
from pipeline.inputs.events import Message
from pipeline.storage import UNAVAILABLE

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
    from google.pubsub_v1.types import ReceivedMessage

WAIT_SECONDS = 2.0  # for the first message; the service keeps an empty pull open
TIMEOUT_SECONDS = 30
LEASE_SECONDS = 120  # of a renewed lease
RENEW_SECONDS = 30.0  # after which a lease is renewed


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


class Leases:
    """The leases of messages pulled together.

    Each ends when its message is acknowledged or returned, or at its deadline, after which the message is delivered
    again.
    """

    def __init__(self, subscription: str, pulled: Sequence[Pulled], clock: Callable[[], float]) -> None:
        self._subscription, self._clock = subscription, clock
        self._held = dict.fromkeys(message.ack_id for message in pulled)
        self._renewed_at = clock()

    def renew(self) -> None:
        """Extends the leases some time before they end. If that fails, they end, and their messages are repeated."""
        if not self._held or self._clock() - self._renewed_at < RENEW_SECONDS:
            return
        self._renewed_at = self._clock()
        try:
            self._modify(list(self._held), LEASE_SECONDS)
        except UNAVAILABLE as error:
            logs.warning("leases could not be renewed", messages=len(self._held), reason=str(error))

    def acknowledge(self, pulled: Sequence[Pulled]) -> None:
        if ack_ids := self._drop(pulled):
            request = {"subscription": self._subscription, "ack_ids": ack_ids}
            subscriber().acknowledge(request=request, timeout=TIMEOUT_SECONDS)

    def give_back(self, pulled: Sequence[Pulled]) -> None:
        """Returns messages for redelivery before their deadline."""
        if ack_ids := self._drop(pulled):
            self._modify(ack_ids, 0)

    def _drop(self, pulled: Sequence[Pulled]) -> list[str]:
        ack_ids = [message.ack_id for message in pulled]
        for ack_id in ack_ids:
            del self._held[ack_id]
        return ack_ids

    def _modify(self, ack_ids: Sequence[str], seconds: int) -> None:
        request = {"subscription": self._subscription, "ack_ids": ack_ids, "ack_deadline_seconds": seconds}
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
