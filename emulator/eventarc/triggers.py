"""Triggers, built as the service builds them: a push subscription each, and a topic of its own for storage events."""

import logging
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from emulator.identity import policy
from emulator.pubsub import CloudEventMode, PubSub, protos
from emulator.pubsub.errors import NotFoundError
from emulator.pubsub.protos import Proto
from emulator.pubsub.push import MODE
from emulator.stack.model import PUBSUB_EVENT, Stack, Trigger

_log = logging.getLogger(__name__)

_RETENTION_S = 24 * 3600
_UPDATED = ("push_config", "ack_deadline_seconds", "retry_policy", "dead_letter_policy", "message_retention_duration")
_CHANGES = {"finalize": "finalized", "delete": "deleted", "archive": "archived", "metadataUpdate": "metadataUpdated"}


class Triggers:
    """The triggers of a stack in Pub/Sub.

    Args:
        services: where each service listens, name → URL.
    """

    def __init__(self, stack: Stack, pubsub: PubSub, services: Mapping[str, str]) -> None:
        self._stack, self._pubsub, self._services = stack, pubsub, services

    def apply(self) -> None:
        """Make what the stack says exist, and remove what only an earlier stack said."""
        for trigger in self._stack.triggers:
            if trigger.event != PUBSUB_EVENT:
                ensure_topic(self._pubsub, self._topic(trigger))
            self._ensure_subscription(self._wanted(trigger))
        self._remove_strangers()

    def subscriptions(self, service: str) -> list[str]:
        """The subscriptions that push to a service."""
        return [self._subscription(trigger) for trigger in self._stack.triggers if trigger.service == service]

    def topics(self, bucket: str, change: str) -> Iterable[tuple[str, str]]:
        """Trigger name and transport topic of every trigger for that change (`finalize`, `delete`, …) in a bucket."""
        event = f"google.cloud.storage.object.v1.{_CHANGES[change]}"
        for trigger in self._stack.triggers:
            if trigger.event == event and trigger.bucket == bucket:
                yield trigger.name, self._topic(trigger)

    def _prefix(self, kind: str) -> str:
        return f"projects/{self._stack.project}/{kind}/eventarc-{self._stack.location}-"

    def _topic(self, trigger: Trigger) -> str:
        if trigger.topic:
            return f"projects/{self._stack.project}/topics/{trigger.topic}"
        return f"{self._prefix('topics')}{trigger.name}"

    def _subscription(self, trigger: Trigger) -> str:
        return f"{self._prefix('subscriptions')}{trigger.name}-sub"

    def _wanted(self, trigger: Trigger) -> Proto:
        mode = CloudEventMode.PUBSUB if trigger.event == PUBSUB_EVENT else CloudEventMode.STORAGE
        wanted = protos.Subscription(
            name=self._subscription(trigger),
            topic=self._topic(trigger),
            filter=trigger.filter,
            ack_deadline_seconds=trigger.ack_deadline,
        )
        wanted.push_config.push_endpoint = (
            f"{self._services[trigger.service]}{trigger.path}?{urlencode({MODE: mode.value})}"
        )
        wanted.push_config.oidc_token.service_account_email = policy.email(self._stack, trigger.service_account)
        wanted.push_config.oidc_token.audience = self._services[trigger.service]
        wanted.message_retention_duration.FromSeconds(_RETENTION_S)
        wanted.retry_policy.minimum_backoff.FromMilliseconds(round(trigger.backoff.min * 1000))
        wanted.retry_policy.maximum_backoff.FromMilliseconds(round(trigger.backoff.max * 1000))
        if trigger.dead_letter_topic:
            topic = f"projects/{self._stack.project}/topics/{trigger.dead_letter_topic}"
            wanted.dead_letter_policy.dead_letter_topic = topic
            wanted.dead_letter_policy.max_delivery_attempts = trigger.max_delivery_attempts
        return wanted

    def _ensure_subscription(self, wanted: Proto) -> None:
        subscriber = self._pubsub.subscriber
        try:
            present = subscriber.get_subscription(protos.GetSubscriptionRequest(subscription=wanted.name))
        except NotFoundError:
            subscriber.create_subscription(wanted)
            return
        if (present.topic, present.filter) == (wanted.topic, wanted.filter):
            request = protos.UpdateSubscriptionRequest(subscription=wanted)
            request.update_mask.paths.extend(_UPDATED)
            subscriber.update_subscription(request)
            return
        _log.warning("trigger replaced, its undelivered events are gone", extra={"subscription": wanted.name})
        subscriber.delete_subscription(protos.DeleteSubscriptionRequest(subscription=wanted.name))
        subscriber.create_subscription(wanted)

    def _remove_strangers(self) -> None:
        known = {self._subscription(trigger) for trigger in self._stack.triggers}
        known |= {self._topic(trigger) for trigger in self._stack.triggers}
        for name in self._pubsub.names():
            ours = name.startswith((self._prefix("topics"), self._prefix("subscriptions")))
            if not ours or name in known:
                continue
            if "/topics/" in name:
                self._pubsub.publisher.delete_topic(protos.DeleteTopicRequest(topic=name))
            else:
                self._pubsub.subscriber.delete_subscription(protos.DeleteSubscriptionRequest(subscription=name))


def ensure_topic(pubsub: PubSub, name: str) -> None:
    """Create a topic unless it is there."""
    if name not in pubsub.names():
        pubsub.publisher.create_topic(protos.Topic(name=name))


def ensure_subscription(pubsub: PubSub, name: str, topic: str) -> None:
    """Create a pull subscription unless it is there."""
    if name not in pubsub.names():
        pubsub.subscriber.create_subscription(protos.Subscription(name=name, topic=topic))
