"""The official google-cloud-pubsub clients, unmodified, over gRPC."""

import threading
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.protobuf import field_mask_pb2
from google.pubsub_v1.types import PushConfig, Subscription, Topic

TOPIC, SUB = "projects/p/topics/events", "projects/p/subscriptions/worker"


@pytest.fixture
def publisher(pubsub_host: str) -> pubsub_v1.PublisherClient:
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    client = pubsub_v1.PublisherClient(publisher_options=options)
    client.create_topic(name=TOPIC)
    return client


@pytest.fixture
def subscriber(publisher: pubsub_v1.PublisherClient) -> Any:
    with pubsub_v1.SubscriberClient() as client:
        yield client


def pull(subscriber: pubsub_v1.SubscriberClient, count: int = 10) -> Any:
    return subscriber.pull(subscription=SUB, max_messages=count, return_immediately=True).received_messages


def test_published_message_is_pulled_and_acknowledged(publisher: Any, subscriber: Any) -> None:
    subscriber.create_subscription(name=SUB, topic=TOPIC)
    message_id = publisher.publish(TOPIC, b"hello", colour="red").result()
    (received,) = subscriber.pull(subscription=SUB, max_messages=10).received_messages
    assert received.message.data == b"hello"
    assert received.message.attributes == {"colour": "red"}
    assert received.message.message_id == message_id
    assert received.message.publish_time.timestamp() > 1_700_000_000
    assert received.delivery_attempt == 0
    subscriber.acknowledge(subscription=SUB, ack_ids=[received.ack_id])
    subscriber.modify_ack_deadline(subscription=SUB, ack_ids=[received.ack_id], ack_deadline_seconds=0)
    assert pull(subscriber) == []


def test_pull_waits_for_a_message(publisher: Any, subscriber: Any) -> None:
    subscriber.create_subscription(name=SUB, topic=TOPIC)
    threading.Timer(0.1, lambda: publisher.publish(TOPIC, b"late")).start()
    (received,) = subscriber.pull(subscription=SUB, max_messages=10).received_messages
    assert received.message.data == b"late"


def test_nack_brings_the_message_back_with_its_attempt(publisher: Any, subscriber: Any) -> None:
    publisher.create_topic(name="projects/p/topics/dead")
    policy = {"dead_letter_topic": "projects/p/topics/dead", "max_delivery_attempts": 5}
    subscriber.create_subscription(request={"name": SUB, "topic": TOPIC, "dead_letter_policy": policy})
    publisher.publish(TOPIC, b"a").result()
    attempts = []
    for _ in range(5):
        (received,) = pull(subscriber)
        attempts.append(received.delivery_attempt)
        subscriber.modify_ack_deadline(subscription=SUB, ack_ids=[received.ack_id], ack_deadline_seconds=0)
    assert attempts == [1, 2, 3, 4, 5]
    assert pull(subscriber) == []


def test_streaming_pull_delivers_everything_once(publisher: Any, subscriber: Any) -> None:
    subscriber.create_subscription(name=SUB, topic=TOPIC)
    got: list[bytes] = []
    done = threading.Event()

    def callback(message: Any) -> None:
        got.append(message.data)
        message.ack()
        if len(got) == 200:
            done.set()

    flow = pubsub_v1.types.FlowControl(max_messages=20)
    future = subscriber.subscribe(SUB, callback=callback, flow_control=flow)
    for number in range(200):
        publisher.publish(TOPIC, str(number).encode())
    assert done.wait(30)
    future.cancel()
    future.result(timeout=30)
    assert sorted(got, key=int) == [str(number).encode() for number in range(200)]


def test_streaming_pull_keeps_the_order_of_a_key(publisher: Any, subscriber: Any) -> None:
    subscriber.create_subscription(request={"name": SUB, "topic": TOPIC, "enable_message_ordering": True})
    for number in range(30):
        publisher.publish(TOPIC, str(number).encode(), ordering_key="k")
    got: list[bytes] = []
    done = threading.Event()

    def callback(message: Any) -> None:
        got.append(message.data)
        message.ack()
        if len(got) == 30:
            done.set()

    future = subscriber.subscribe(SUB, callback=callback)
    assert done.wait(30)
    future.cancel()
    future.result(timeout=30)
    assert got == [str(number).encode() for number in range(30)]


def test_topics_are_listed_updated_and_deleted(publisher: Any, subscriber: Any) -> None:
    for number in range(5):
        publisher.create_topic(name=f"projects/p/topics/extra-{number}")
    publisher.create_topic(name="projects/other/topics/elsewhere")
    pages = publisher.list_topics(request={"project": "projects/p", "page_size": 2}).pages
    assert [len(page.topics) for page in pages] == [2, 2, 2]
    mask = field_mask_pb2.FieldMask(paths=["labels"])
    updated = publisher.update_topic(topic=Topic(name=TOPIC, labels={"team": "a"}), update_mask=mask)
    assert updated.labels == {"team": "a"}
    subscriber.create_subscription(name=SUB, topic=TOPIC)
    assert list(publisher.list_topic_subscriptions(topic=TOPIC)) == [SUB]
    publisher.delete_topic(topic=TOPIC)
    assert subscriber.get_subscription(subscription=SUB).topic == "_deleted-topic_"
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=events\)"):
        publisher.get_topic(topic=TOPIC)


def test_subscription_gets_the_services_defaults(publisher: Any, subscriber: Any) -> None:
    made = subscriber.create_subscription(request={"name": SUB, "topic": TOPIC, "retry_policy": {}})
    assert made.ack_deadline_seconds == 10
    assert made.message_retention_duration.total_seconds() == 7 * 86400
    assert made.retry_policy.minimum_backoff.total_seconds() == 10
    assert made.retry_policy.maximum_backoff.total_seconds() == 600
    assert subscriber.get_subscription(subscription=SUB) == made
    assert [item.name for item in subscriber.list_subscriptions(project="projects/p")] == [SUB]


def test_subscription_is_updated_field_by_field(publisher: Any, subscriber: Any) -> None:
    subscriber.create_subscription(request={"name": SUB, "topic": TOPIC, "labels": {"a": "b"}})
    push = PushConfig(push_endpoint="http://127.0.0.1:1/")
    wanted = Subscription(name=SUB, ack_deadline_seconds=60, push_config=push, labels={})
    mask = field_mask_pb2.FieldMask(paths=["ack_deadline_seconds", "push_config"])
    updated = subscriber.update_subscription(subscription=wanted, update_mask=mask)
    assert (updated.ack_deadline_seconds, updated.topic, updated.labels) == (60, TOPIC, {"a": "b"})
    assert updated.push_config.push_endpoint == "http://127.0.0.1:1/"
    with pytest.raises(exceptions.FailedPrecondition):
        pull(subscriber)


def test_detached_subscription_receives_nothing(publisher: Any, subscriber: Any) -> None:
    subscriber.create_subscription(name=SUB, topic=TOPIC)
    publisher.detach_subscription(request={"subscription": SUB})
    publisher.publish(TOPIC, b"a").result()
    with pytest.raises(exceptions.FailedPrecondition):
        pull(subscriber)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"name": "projects/p/subscriptions/x", "topic": TOPIC}, exceptions.InvalidArgument),
        ({"name": "nonsense", "topic": TOPIC}, exceptions.InvalidArgument),
        ({"name": SUB, "topic": "projects/p/topics/missing"}, exceptions.NotFound),
        ({"name": SUB, "topic": TOPIC, "ack_deadline_seconds": 601}, exceptions.InvalidArgument),
        ({"name": SUB, "topic": TOPIC, "filter": "type = order"}, exceptions.InvalidArgument),
        ({"name": SUB, "topic": TOPIC, "push_config": {"push_endpoint": "ftp://x"}}, exceptions.InvalidArgument),
        (
            {
                "name": SUB,
                "topic": TOPIC,
                "dead_letter_policy": {"dead_letter_topic": TOPIC, "max_delivery_attempts": 4},
            },
            exceptions.InvalidArgument,
        ),
        (
            {"name": SUB, "topic": TOPIC, "retry_policy": {"maximum_backoff": {"seconds": 601}}},
            exceptions.InvalidArgument,
        ),
        (
            {
                "name": SUB,
                "topic": TOPIC,
                "retry_policy": {"minimum_backoff": {"seconds": 20}, "maximum_backoff": {"seconds": 10}},
            },
            exceptions.InvalidArgument,
        ),
    ],
)
def test_invalid_subscription_is_refused(subscriber: Any, request_: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        subscriber.create_subscription(request=request_)
    assert list(subscriber.list_subscriptions(project="projects/p")) == []


def test_existing_names_are_refused(publisher: Any, subscriber: Any) -> None:
    subscriber.create_subscription(name=SUB, topic=TOPIC)
    with pytest.raises(exceptions.AlreadyExists):
        subscriber.create_subscription(name=SUB, topic=TOPIC)
    with pytest.raises(exceptions.AlreadyExists):
        publisher.create_topic(name=TOPIC)


@pytest.mark.parametrize(
    "message",
    [{}, {"data": b"x", "attributes": {"googkey": "v"}}, {"attributes": {"k": "v" * 1025}}, {"attributes": {"": "v"}}],
)
def test_invalid_message_is_refused(publisher: Any, message: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        publisher.api.publish(request={"topic": TOPIC, "messages": [message]})


def test_missing_resources_and_invalid_ack_ids_are_refused(publisher: Any, subscriber: Any) -> None:
    subscriber.create_subscription(name=SUB, topic=TOPIC)
    with pytest.raises(exceptions.NotFound):
        publisher.publish("projects/p/topics/missing", b"a").result()
    with pytest.raises(exceptions.InvalidArgument):
        subscriber.acknowledge(subscription=SUB, ack_ids=["nonsense"])
    with pytest.raises(exceptions.NotFound):
        subscriber.delete_subscription(subscription="projects/p/subscriptions/missing")
