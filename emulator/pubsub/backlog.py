"""The backlogs of subscriptions: messages are published into them, leased, acknowledged, retried, dead-lettered."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from emulator.clock import Clock
from emulator.pubsub import protos
from emulator.pubsub.catalog import Catalog
from emulator.pubsub.protos import Proto
from emulator.pubsub.store import Delivery, Store

_log = logging.getLogger(__name__)

_PUSH_BACKOFF = (0.1, 60.0)  # for push subscriptions without a retry policy; pull has no back-off


AgentMay = Callable[[str, str], bool]  # whether Pub/Sub's service agent has a permission on a resource


class Backlog:
    def __init__(self, catalog: Catalog, store: Store, clock: Clock, may: AgentMay = lambda _, __: True) -> None:
        self._catalog, self._store, self._clock, self._may = catalog, store, clock, may
        self._signals: dict[str, asyncio.Event] = {}

    def signal(self, subscription: str) -> asyncio.Event:
        """An event that is set at the next change of this backlog; get it before reading the backlog."""
        return self._signals.setdefault(subscription, asyncio.Event())

    def notify(self, subscription: str) -> None:
        if event := self._signals.pop(subscription, None):
            event.set()

    def publish(self, topic: str, messages: Sequence[Proto]) -> list[str]:
        """Put the messages into the backlogs of their subscriptions and return their ids, in the same order.

        Raises:
            NotFoundError: the topic does not exist.
        """
        self._catalog.topic(topic)
        with self._store.transaction():
            published = [self._enqueue(topic, message) for message in messages]
        for name in {name for _, names in published for name in names}:
            self.notify(name)
        return [str(message) for message, _ in published]

    def _enqueue(self, topic: str, message: Proto) -> tuple[int, list[str]]:
        now = self._clock.now()
        number = self._store.add(topic, now)
        stored = protos.Message(
            data=message.data, attributes=message.attributes, ordering_key=message.ordering_key, message_id=str(number)
        )
        stored.publish_time.FromMicroseconds(int(now * 1000) * 1000)
        names = self._catalog.receivers(topic, message.attributes)
        ordered = {name for name in names if self._catalog.subscription(name).enable_message_ordering}
        keys = {name: message.ordering_key if name in ordered else "" for name in names}
        self._store.deliver(number, stored.SerializeToString(), now, keys)
        return number, names

    def take(self, subscription: str, limit: int, lease_s: float) -> list[Delivery]:
        """Lease up to `limit` messages for `lease_s` seconds; an expired lease counts as a failed attempt."""
        config = self._catalog.subscription(subscription)
        taken: list[Delivery] = []
        with self._store.transaction():
            now = self._clock.now()
            while not taken and (due := self._store.due(subscription, now, limit)):
                for delivery in due:
                    if not self._lapsed(config, delivery, now):
                        taken.append(delivery)
            if config.enable_message_ordering and not config.push_config.push_endpoint:
                taken = self._with_successors(subscription, taken, now, limit)
            self._store.lease(subscription, [delivery.message for delivery in taken], now + lease_s)
        return [replace(delivery, attempts=delivery.attempts + 1) for delivery in taken]

    def _with_successors(self, subscription: str, heads: list[Delivery], now: float, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        for head in heads:
            taken += [head, *self._store.successors(subscription, head, now, limit)] if head.key else [head]
        return taken[:limit]

    def expire(self) -> None:
        """Delete messages that have outlived the retention of their subscription."""
        now = self._clock.now()
        with self._store.transaction():
            for name, config in self._catalog.subscriptions.items():
                self._store.expire(name, now - _retention(config))

    def _lapsed(self, config: Proto, delivery: Delivery, now: float) -> bool:
        """Drop a message past its retention and retry one whose lease expired; True if it was either."""
        if delivery.published + _retention(config) < now:
            self._store.remove(config.name, delivery.message)
            return True
        if delivery.leased:
            self._retry(config, delivery, now)
            return True
        return False

    def acknowledge(self, subscription: str, message: int) -> None:
        self._store.remove(subscription, message)
        self.notify(subscription)

    def fail(self, subscription: str, message: int) -> float | None:
        """Retry a message later, or move it to the dead-letter topic.

        Returns:
            The seconds until the next attempt, None if there is none.
        """
        config = self._catalog.subscription(subscription)
        delivery = self._store.find(subscription, message)
        if delivery is None:
            return None
        with self._store.transaction():
            wait = self._retry(config, delivery, self._clock.now())
        self.notify(subscription)
        return wait

    def extend(self, subscription: str, message: int, seconds: float) -> None:
        self._store.extend(subscription, message, self._clock.now() + seconds)
        self.notify(subscription)

    def next_due(self, subscription: str) -> float | None:
        return self._store.next_due(subscription, self._clock.now())

    def find(self, subscription: str, message: int) -> Delivery | None:
        return self._store.find(subscription, message)

    def restore(self, subscription: str) -> None:
        """Undo the leases of deliveries that were interrupted."""
        self._store.restore(subscription)

    def _retry(self, config: Proto, delivery: Delivery, now: float) -> float | None:
        policy = config.dead_letter_policy
        exhausted = delivery.attempts >= policy.max_delivery_attempts
        if policy.dead_letter_topic in self._catalog.topics and exhausted and self._may_forward(config):
            self._dead_letter(config, delivery)
            return None
        wait = backoff(config, delivery.attempts)
        self._store.release(config.name, delivery.message, now + wait)
        return wait

    def _may_forward(self, config: Proto) -> bool:
        """Whether Pub/Sub may move messages to the dead-letter topic; else it delivers them again, as in the cloud."""
        topic = config.dead_letter_policy.dead_letter_topic
        return self._may("pubsub.topics.publish", topic) and self._may("pubsub.subscriptions.consume", config.name)

    def _dead_letter(self, config: Proto, delivery: Delivery) -> None:
        """Move a message to the dead-letter topic, with attributes that tell its source."""
        message = protos.Message.FromString(delivery.body)
        _, project, _, name = config.name.split("/")
        message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = str(delivery.attempts)
        message.attributes["CloudPubSubDeadLetterSourceSubscription"] = name
        message.attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] = project
        message.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] = message.publish_time.ToJsonString()
        _, receivers = self._enqueue(config.dead_letter_policy.dead_letter_topic, message)
        self._store.remove(config.name, delivery.message)
        for receiver in receivers:
            self.notify(receiver)
        _log.warning(
            "dead-lettered",
            extra={"subscription": name, "message_id": message.message_id, "attempts": delivery.attempts},
        )


def _retention(config: Proto) -> float:
    return float(config.message_retention_duration.ToTimedelta().total_seconds())


def backoff(config: Proto, attempts: int) -> float:
    """The seconds to wait after a number of failed attempts, doubling from the policy's minimum to its maximum."""
    if config.HasField("retry_policy"):
        policy = config.retry_policy
        low = policy.minimum_backoff.ToTimedelta().total_seconds()
        high = policy.maximum_backoff.ToTimedelta().total_seconds()
    elif config.push_config.push_endpoint:
        low, high = _PUSH_BACKOFF
    else:
        return 0.0
    return float(min(high, low * 2 ** min(max(attempts - 1, 0), 30)))
