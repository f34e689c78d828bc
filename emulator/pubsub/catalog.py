"""The topics and subscriptions that exist, and which subscriptions receive a message."""

from collections.abc import Callable, Mapping

from emulator.googleapi.errors import AlreadyExistsError, NotFoundError
from emulator.pubsub import filters, protos
from emulator.pubsub.protos import Proto
from emulator.pubsub.store import Store

DELETED_TOPIC = "_deleted-topic_"


class Catalog:
    """The configurations, read from the store once and written through to it.

    `on_change` is called with the name of a subscription after it is created, updated or deleted, `on_delete` with the
    name of a topic or subscription that was deleted.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.topics: dict[str, Proto] = {name: protos.Topic.FromString(raw) for name, raw in store.topics().items()}
        self.subscriptions: dict[str, Proto] = {
            name: protos.Subscription.FromString(raw) for name, raw in store.subscriptions().items()
        }
        self._filters = {name: filters.compile_filter(config.filter) for name, config in self.subscriptions.items()}
        self.on_change: Callable[[str], None] = lambda _: None
        self.on_delete: Callable[[str], None] = lambda _: None

    def topic(self, name: str) -> Proto:
        if name not in self.topics:
            raise missing(name)
        return self.topics[name]

    def subscription(self, name: str) -> Proto:
        if name not in self.subscriptions:
            raise missing(name)
        return self.subscriptions[name]

    def receivers(self, topic: str, attributes: Mapping[str, str]) -> list[str]:
        """The subscriptions that receive a message with these attributes."""
        return [
            name
            for name, config in self.subscriptions.items()
            if config.topic == topic and not config.detached and self._filters[name](attributes)
        ]

    def attached(self, topic: str) -> list[str]:
        return [name for name, config in self.subscriptions.items() if config.topic == topic and not config.detached]

    def add_topic(self, topic: Proto) -> None:
        if topic.name in self.topics:
            raise _taken(topic.name)
        self.put_topic(topic)

    def put_topic(self, topic: Proto) -> None:
        self._store.put_topic(topic.name, topic.SerializeToString())
        self.topics[topic.name] = topic

    def remove_topic(self, name: str) -> None:
        """Delete a topic; its subscriptions stay with their backlogs, as in the cloud."""
        self.topic(name)
        orphans = self.attached(name)
        with self._store.transaction():
            self._store.delete_topic(name)
            for orphan in orphans:
                self.subscriptions[orphan].topic = DELETED_TOPIC
                self._store.put_subscription(orphan, self.subscriptions[orphan].SerializeToString())
        del self.topics[name]
        self.on_delete(name)

    def add_subscription(self, subscription: Proto) -> None:
        if subscription.name in self.subscriptions:
            raise _taken(subscription.name)
        self.topic(subscription.topic)
        self.put_subscription(subscription)

    def put_subscription(self, subscription: Proto) -> None:
        predicate = filters.compile_filter(subscription.filter)
        self._store.put_subscription(subscription.name, subscription.SerializeToString())
        self.subscriptions[subscription.name] = subscription
        self._filters[subscription.name] = predicate
        self.on_change(subscription.name)

    def remove_subscription(self, name: str) -> None:
        self.subscription(name)
        with self._store.transaction():
            self._store.delete_subscription(name)
        del self.subscriptions[name], self._filters[name]
        self.on_change(name)
        self.on_delete(name)


def missing(name: str) -> NotFoundError:
    """The error for a topic or subscription that does not exist."""
    return NotFoundError(f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")


def _taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"Resource already exists in the project (resource={name.rsplit('/', 1)[-1]}).")
