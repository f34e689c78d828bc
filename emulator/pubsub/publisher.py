"""The Publisher service: topics, and messages published to them."""

from collections.abc import Sequence

from emulator.pubsub import protos
from emulator.pubsub.backlog import Backlog
from emulator.pubsub.catalog import Catalog
from emulator.pubsub.errors import InvalidArgumentError
from emulator.pubsub.protos import Proto
from emulator.pubsub.validation import check_name, check_publish

ACTIVE = 1  # the state of topics and subscriptions alike


class Publisher:
    """One method for each RPC: a request in, a response out, `PubSubError` for a refusal."""

    def __init__(self, catalog: Catalog, backlog: Backlog) -> None:
        self._catalog, self._backlog = catalog, backlog

    def create_topic(self, request: Proto) -> Proto:
        check_name(request.name, "topics")
        request.state = ACTIVE
        self._catalog.add_topic(request)
        return request

    def update_topic(self, request: Proto) -> Proto:
        topic = protos.Topic()
        topic.CopyFrom(self._catalog.topic(request.topic.name))
        merge(request.topic, topic, request.update_mask, frozen=("name",))
        self._catalog.put_topic(topic)
        return topic

    def get_topic(self, request: Proto) -> Proto:
        return self._catalog.topic(request.topic)

    def list_topics(self, request: Proto) -> Proto:
        names = [name for name in self._catalog.topics if name.startswith(f"{request.project}/")]
        names, token = page(names, request)
        return protos.ListTopicsResponse(topics=[self._catalog.topics[n] for n in names], next_page_token=token)

    def list_topic_subscriptions(self, request: Proto) -> Proto:
        self._catalog.topic(request.topic)
        names, token = page(self._catalog.attached(request.topic), request)
        return protos.ListTopicSubscriptionsResponse(subscriptions=names, next_page_token=token)

    def delete_topic(self, request: Proto) -> Proto:
        self._catalog.remove_topic(request.topic)
        return protos.Empty()

    def detach_subscription(self, request: Proto) -> Proto:
        subscription = protos.Subscription()
        subscription.CopyFrom(self._catalog.subscription(request.subscription))
        subscription.detached = True
        self._catalog.put_subscription(subscription)
        return protos.DetachSubscriptionResponse()

    def publish(self, request: Proto) -> Proto:
        check_name(request.topic, "topics")
        check_publish(request)
        return protos.PublishResponse(message_ids=self._backlog.publish(request.topic, request.messages))


def merge(source: Proto, target: Proto, mask: Proto, frozen: Sequence[str]) -> None:
    """Copy the masked fields, as an update does; `frozen` ones can't be changed."""
    if not mask.paths:
        raise InvalidArgumentError("The update_mask in the request must not be empty.")
    for path in mask.paths:
        root = path.split(".")[0]
        if root not in type(target).DESCRIPTOR.fields_by_name:
            raise InvalidArgumentError(f"Invalid update_mask provided in the request: unknown field {path}.")
        if root in frozen:
            raise InvalidArgumentError(f"Invalid update_mask provided in the request: {path} can't be updated.")
        if path == root:
            target.ClearField(root)
    mask.MergeMessage(source, target, True, True)


def page(names: Sequence[str], request: Proto) -> tuple[list[str], str]:
    """The page that a list request asks for, and the token of the next; tokens are the last name given."""
    size = min(request.page_size or 100, 1000)
    if size < 0:
        raise InvalidArgumentError("page_size must not be negative.")
    rest = sorted(name for name in names if name > request.page_token)
    return rest[:size], rest[size - 1] if len(rest) > size else ""
