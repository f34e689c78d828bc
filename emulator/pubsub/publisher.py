"""The service google.pubsub.v1.Publisher: topics, and the messages published to them."""

from collections.abc import Sequence

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.methods import message_method
from emulator.googleapi.paging import requested_page
from emulator.pubsub import protos
from emulator.pubsub.backlog import Backlog
from emulator.pubsub.catalog import Catalog
from emulator.pubsub.protos import Proto
from emulator.pubsub.validation import check_emulated, check_name, check_publish

ACTIVE = 1  # the state of a topic and of a subscription


class Publisher:
    """The methods of the service."""

    def __init__(self, catalog: Catalog, backlog: Backlog) -> None:
        self._catalog, self._backlog = catalog, backlog

    @message_method(
        "PUT /v1/{name=projects/*/topics/*} *", protos.Topic, name="CreateTopic", needs="pubsub.topics.create@project"
    )
    def create_topic(self, request: Proto) -> Proto:
        check_name(request.name, "topics")
        check_emulated(request)
        request.state = ACTIVE
        self._catalog.add_topic(request)
        return request

    @message_method(
        "PATCH /v1/{topic.name=projects/*/topics/*} *", protos.UpdateTopicRequest, needs="pubsub.topics.update"
    )
    def update_topic(self, request: Proto) -> Proto:
        topic = protos.Topic()
        topic.CopyFrom(self._catalog.topic(request.topic.name))
        merge(request.topic, topic, request.update_mask, frozen=("name",))
        check_emulated(topic)
        self._catalog.put_topic(topic)
        return topic

    @message_method("GET /v1/{topic=projects/*/topics/*}", protos.GetTopicRequest, needs="pubsub.topics.get")
    def get_topic(self, request: Proto) -> Proto:
        return self._catalog.topic(request.topic)

    @message_method("GET /v1/{project=projects/*}/topics", protos.ListTopicsRequest, needs="pubsub.topics.list")
    def list_topics(self, request: Proto) -> Proto:
        topics = self._catalog.topics
        names = sorted(name for name in topics if name.startswith(f"{request.project}/"))
        page, token = requested_page(names, request, request.project)
        return protos.ListTopicsResponse(topics=[topics[name] for name in page], next_page_token=token)

    @message_method(
        "GET /v1/{topic=projects/*/topics/*}/subscriptions",
        protos.ListTopicSubscriptionsRequest,
        needs="pubsub.topics.get",
    )
    def list_topic_subscriptions(self, request: Proto) -> Proto:
        self._catalog.topic(request.topic)
        names, token = requested_page(sorted(self._catalog.attached(request.topic)), request, request.topic)
        return protos.ListTopicSubscriptionsResponse(subscriptions=names, next_page_token=token)

    @message_method("DELETE /v1/{topic=projects/*/topics/*}", protos.DeleteTopicRequest, needs="pubsub.topics.delete")
    def delete_topic(self, request: Proto) -> Proto:
        self._catalog.remove_topic(request.topic)
        return protos.Empty()

    @message_method(
        "POST /v1/{subscription=projects/*/subscriptions/*}:detach *",
        protos.DetachSubscriptionRequest,
        needs="pubsub.topics.detachSubscription@project",
    )
    def detach_subscription(self, request: Proto) -> Proto:
        subscription = protos.Subscription()
        subscription.CopyFrom(self._catalog.subscription(request.subscription))
        subscription.detached = True
        self._catalog.put_subscription(subscription)
        return protos.DetachSubscriptionResponse()

    @message_method(
        "POST /v1/{topic=projects/*/topics/*}:publish *", protos.PublishRequest, needs="pubsub.topics.publish"
    )
    def publish(self, request: Proto) -> Proto:
        check_name(request.topic, "topics")
        check_publish(request)
        return protos.PublishResponse(message_ids=self._backlog.publish(request.topic, request.messages))


def merge(source: Proto, target: Proto, mask: Proto, frozen: Sequence[str]) -> None:
    """Copy the masked fields from an update request; `frozen` fields cannot be updated."""
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
