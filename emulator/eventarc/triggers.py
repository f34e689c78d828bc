"""Triggers as Eventarc builds them: a push subscription for each, and a transport topic for storage events."""

import logging
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from emulator.googleapi.errors import NotFoundError
from emulator.identity import policy
from emulator.pubsub import CloudEventMode, PubSub, protos
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
        services: service name → URL.
    """

    def __init__(self, stack: Stack, pubsub: PubSub, services: Mapping[str, str]) -> None:
        self._stack, self._pubsub, self._services = stack, pubsub, services

    def apply(self) -> None:
        """Create or update what the triggers need, and delete what only triggers of an earlier stack needed."""
        for trigger in self._stack.triggers:
            if trigger.event != PUBSUB_EVENT:
                ensure_topic(self._pubsub, self.topic(trigger))
            self._ensure_subscription(self._configuration(trigger))
        self._delete_obsolete()

    def subscriptions(self, service: str) -> list[str]:
        """The subscriptions that push to a service."""
        return [self._subscription(trigger) for trigger in self._stack.triggers if trigger.service == service]

    @property
    def project(self) -> str:
        return f"projects/{self._stack.project}"

    @property
    def storage_agent(self) -> str:
        """The e-mail address of the account as which Cloud Storage publishes changes."""
        return policy.email(self._stack, policy.STORAGE_AGENT)

    def account(self, trigger: Trigger) -> str:
        """The e-mail address of the account that receives and delivers a trigger's events."""
        return policy.email(self._stack, trigger.service_account)

    def matching(self, bucket: str, change: str) -> Iterable[Trigger]:
        """The triggers for a change (`finalize`, `delete`, …) in a bucket."""
        event = f"google.cloud.storage.object.v1.{_CHANGES[change]}"
        for trigger in self._stack.triggers:
            if trigger.event == event and trigger.bucket == bucket:
                yield trigger

    def _prefix(self, kind: str) -> str:
        return f"projects/{self._stack.project}/{kind}/eventarc-{self._stack.location}-"

    def topic(self, trigger: Trigger) -> str:
        """The topic through which a trigger's events come."""
        if trigger.topic:
            return f"projects/{self._stack.project}/topics/{trigger.topic}"
        return f"{self._prefix('topics')}{trigger.name}"

    def _subscription(self, trigger: Trigger) -> str:
        return f"{self._prefix('subscriptions')}{trigger.name}-sub"

    def _configuration(self, trigger: Trigger) -> Proto:
        mode = CloudEventMode.PUBSUB if trigger.event == PUBSUB_EVENT else CloudEventMode.STORAGE
        subscription = protos.Subscription(
            name=self._subscription(trigger),
            topic=self.topic(trigger),
            filter=trigger.filter,
            ack_deadline_seconds=trigger.ack_deadline,
        )
        subscription.push_config.push_endpoint = (
            f"{self._services[trigger.service]}{trigger.path}?{urlencode({MODE: mode.value})}"
        )
        subscription.push_config.oidc_token.service_account_email = self.account(trigger)
        subscription.push_config.oidc_token.audience = self._services[trigger.service]
        subscription.message_retention_duration.FromSeconds(_RETENTION_S)
        subscription.retry_policy.minimum_backoff.FromMilliseconds(round(trigger.backoff.min * 1000))
        subscription.retry_policy.maximum_backoff.FromMilliseconds(round(trigger.backoff.max * 1000))
        if trigger.dead_letter_topic:
            topic = f"projects/{self._stack.project}/topics/{trigger.dead_letter_topic}"
            subscription.dead_letter_policy.dead_letter_topic = topic
            subscription.dead_letter_policy.max_delivery_attempts = trigger.max_delivery_attempts
        return subscription

    def _ensure_subscription(self, subscription: Proto) -> None:
        subscriber = self._pubsub.subscriber
        try:
            present = subscriber.get_subscription(protos.GetSubscriptionRequest(subscription=subscription.name))
        except NotFoundError:
            subscriber.create_subscription(subscription)
            return
        if (present.topic, present.filter) == (subscription.topic, subscription.filter):
            request = protos.UpdateSubscriptionRequest(subscription=subscription)
            request.update_mask.paths.extend(_UPDATED)
            subscriber.update_subscription(request)
            return
        _log.warning("trigger replaced: its undelivered events are lost", extra={"subscription": subscription.name})
        subscriber.delete_subscription(protos.DeleteSubscriptionRequest(subscription=subscription.name))
        subscriber.create_subscription(subscription)

    def _delete_obsolete(self) -> None:
        known = {self._subscription(trigger) for trigger in self._stack.triggers}
        known |= {self.topic(trigger) for trigger in self._stack.triggers}
        for name in self._pubsub.names():
            is_eventarc = name.startswith((self._prefix("topics"), self._prefix("subscriptions")))
            if not is_eventarc or name in known:
                continue
            if "/topics/" in name:
                self._pubsub.publisher.delete_topic(protos.DeleteTopicRequest(topic=name))
            else:
                self._pubsub.subscriber.delete_subscription(protos.DeleteSubscriptionRequest(subscription=name))


def ensure_topic(pubsub: PubSub, name: str) -> None:
    """Create a topic unless it exists."""
    if name not in pubsub.names():
        pubsub.publisher.create_topic(protos.Topic(name=name))


def ensure_subscription(pubsub: PubSub, name: str, topic: str, ack_deadline: int) -> None:
    """Create a pull subscription unless it exists."""
    if name not in pubsub.names():
        subscription = protos.Subscription(name=name, topic=topic, ack_deadline_seconds=ack_deadline)
        pubsub.subscriber.create_subscription(subscription)
