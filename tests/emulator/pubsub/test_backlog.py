"""Leases, back-off, ordering and dead letters, with a manual clock."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.pubsub import protos
from emulator.pubsub.backlog import Backlog
from emulator.pubsub.catalog import Catalog
from emulator.pubsub.store import Delivery, Store
from emulator.pubsub.validation import check_subscription

TOPIC, DEAD = "projects/p/topics/events", "projects/p/topics/dead"
SUB, DEAD_SUB = "projects/p/subscriptions/worker", "projects/p/subscriptions/dead-letters"


class Setup:
    def __init__(self, clock: Any, folder: Path | None = None) -> None:
        self.clock = clock
        self.store = Store(folder, clock.now())
        self.catalog = Catalog(self.store)
        self.backlog = Backlog(self.catalog, self.store, clock)
        for topic in (TOPIC, DEAD):
            if topic not in self.catalog.topics:
                self.catalog.add_topic(protos.Topic(name=topic))

    def subscribe(self, name: str = SUB, topic: str = TOPIC, **fields: Any) -> None:
        subscription = protos.Subscription(name=name, topic=topic, **fields)
        check_subscription(subscription)
        self.catalog.add_subscription(subscription)

    def publish(self, *texts: str, key: str = "", **attributes: str) -> list[str]:
        messages = [protos.Message(data=text.encode(), ordering_key=key, attributes=attributes) for text in texts]
        return self.backlog.publish(TOPIC, messages)

    def take(self, name: str = SUB, limit: int = 10, lease: float = 10) -> list[Delivery]:
        return self.backlog.take(name, limit, lease)


@pytest.fixture
def setup(clock: Any) -> Iterator[Setup]:
    made = Setup(clock)
    yield made
    made.store.close()


def texts(deliveries: list[Delivery]) -> list[str]:
    return [protos.Message.FromString(delivery.body).data.decode() for delivery in deliveries]


def test_published_messages_go_to_every_subscription_that_takes_them(setup: Setup) -> None:
    setup.subscribe()
    setup.subscribe("projects/p/subscriptions/big", filter='attributes.size = "big"')
    setup.publish("small", size="small")
    setup.publish("large", size="big")
    assert texts(setup.take()) == ["small", "large"]
    assert texts(setup.take("projects/p/subscriptions/big")) == ["large"]


def test_message_without_receivers_is_not_stored(setup: Setup) -> None:
    setup.publish("nobody listens")
    setup.subscribe()
    assert setup.take() == []


def test_leased_message_is_not_handed_out_again_before_the_lease_ends(setup: Setup) -> None:
    setup.subscribe()
    setup.publish("a")
    assert [item.attempts for item in setup.take(lease=10)] == [1]
    setup.clock.advance(9.9)
    assert setup.take() == []
    setup.clock.advance(0.2)
    assert [item.attempts for item in setup.take()] == [2]


def test_acknowledged_message_is_removed(setup: Setup) -> None:
    setup.subscribe()
    setup.publish("a")
    setup.backlog.acknowledge(SUB, setup.take()[0].message)
    setup.clock.advance(1000)
    assert setup.take() == []
    assert setup.store.backlog(SUB) == 0


def test_one_subscription_acknowledging_leaves_the_others_alone(setup: Setup) -> None:
    setup.subscribe()
    setup.subscribe("projects/p/subscriptions/other")
    setup.publish("a")
    setup.backlog.acknowledge(SUB, setup.take()[0].message)
    assert texts(setup.take("projects/p/subscriptions/other")) == ["a"]


def test_back_off_doubles_from_the_minimum_to_the_maximum(setup: Setup) -> None:
    policy = {"minimum_backoff": {"seconds": 10}, "maximum_backoff": {"seconds": 60}}
    setup.subscribe(retry_policy=policy)
    setup.publish("a")
    waits = []
    for _ in range(5):
        (delivery,) = setup.take()
        wait = setup.backlog.fail(SUB, delivery.message)
        assert wait is not None
        waits.append(wait)
        setup.clock.advance(wait - 0.01)
        assert setup.take() == []
        setup.clock.advance(0.02)
    assert waits == [10, 20, 40, 60, 60]


def test_push_without_retry_policy_backs_off_from_a_tenth_of_a_second(setup: Setup) -> None:
    setup.subscribe(push_config={"push_endpoint": "http://127.0.0.1:1/"})
    setup.publish("a")
    waits = []
    for _ in range(12):
        (delivery,) = setup.take()
        wait = setup.backlog.fail(SUB, delivery.message)
        assert wait is not None
        waits.append(wait)
        setup.clock.advance(wait)
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert waits[-1] == 60


def test_pull_without_retry_policy_redelivers_immediately(setup: Setup) -> None:
    setup.subscribe()
    setup.publish("a")
    assert setup.backlog.fail(SUB, setup.take()[0].message) == 0
    assert texts(setup.take()) == ["a"]


def test_expired_lease_backs_off_as_a_failure_does(setup: Setup) -> None:
    setup.subscribe(retry_policy={"minimum_backoff": {"seconds": 30}})
    setup.publish("a")
    setup.take(lease=10)
    setup.clock.advance(10)
    assert setup.take() == []
    setup.clock.advance(30)
    assert texts(setup.take()) == ["a"]


def dead_letter_policy(attempts: int = 5) -> dict[str, Any]:
    return {"dead_letter_topic": DEAD, "max_delivery_attempts": attempts}


def test_message_moves_to_the_dead_letter_topic_after_its_attempts(setup: Setup) -> None:
    setup.subscribe(DEAD_SUB, DEAD)
    setup.subscribe(dead_letter_policy=dead_letter_policy())
    (original,) = setup.publish("poison", kind="bad")
    for _ in range(5):
        (delivery,) = setup.take()
        setup.backlog.fail(SUB, delivery.message)
    assert setup.take() == []
    assert setup.store.backlog(SUB) == 0
    (dead,) = setup.take(DEAD_SUB)
    message = protos.Message.FromString(dead.body)
    assert message.data == b"poison"
    assert message.message_id != original
    assert dict(message.attributes) == {
        "kind": "bad",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "worker",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2023-11-14T22:13:20Z",
    }


def test_expired_leases_count_as_delivery_attempts(setup: Setup) -> None:
    setup.subscribe(DEAD_SUB, DEAD)
    setup.subscribe(dead_letter_policy=dead_letter_policy())
    setup.publish("stuck")
    for _ in range(5):
        assert len(setup.take(lease=10)) == 1
        setup.clock.advance(10)
    assert setup.take() == []
    assert texts(setup.take(DEAD_SUB)) == ["stuck"]


def test_missing_dead_letter_topic_keeps_the_message(setup: Setup) -> None:
    setup.subscribe(dead_letter_policy=dead_letter_policy())
    setup.catalog.remove_topic(DEAD)
    setup.publish("poison")
    for _ in range(7):
        (delivery,) = setup.take()
        setup.backlog.fail(SUB, delivery.message)
    assert texts(setup.take()) == ["poison"]


def test_ordered_push_sends_one_message_per_key_at_a_time(setup: Setup) -> None:
    setup.subscribe(enable_message_ordering=True, push_config={"push_endpoint": "http://127.0.0.1:1/"})
    setup.publish("a1", "a2", key="a")
    setup.publish("b1", key="b")
    setup.publish("free", "free too")
    first = setup.take()
    assert texts(first) == ["a1", "b1", "free", "free too"]
    assert setup.take() == []
    setup.backlog.acknowledge(SUB, first[0].message)
    assert texts(setup.take()) == ["a2"]


def test_failed_message_blocks_later_ones_of_its_key(setup: Setup) -> None:
    policy = {"minimum_backoff": {"seconds": 10}}
    setup.subscribe(enable_message_ordering=True, retry_policy=policy)
    setup.publish("1", "2", "3", key="k")
    batch = setup.take()
    assert texts(batch) == ["1", "2", "3"]
    setup.backlog.acknowledge(SUB, batch[0].message)
    setup.backlog.fail(SUB, batch[1].message)
    assert setup.take() == []
    setup.clock.advance(10)
    assert texts(setup.take()) == ["2", "3"]


def test_keys_are_ignored_without_ordering(setup: Setup) -> None:
    setup.subscribe(push_config={"push_endpoint": "http://127.0.0.1:1/"})
    setup.publish("1", "2", key="k")
    assert texts(setup.take()) == ["1", "2"]


def test_message_is_dropped_after_the_retention(setup: Setup) -> None:
    setup.subscribe(message_retention_duration={"seconds": 600})
    setup.publish("old")
    setup.clock.advance(601)
    setup.publish("new")
    assert texts(setup.take()) == ["new"]
    assert setup.store.backlog(SUB) == 1


def test_old_messages_are_dropped_even_if_never_pulled(setup: Setup) -> None:
    setup.subscribe(message_retention_duration={"seconds": 600})
    setup.publish("old")
    setup.clock.advance(601)
    setup.publish("new")
    setup.backlog.expire()
    assert setup.store.backlog(SUB) == 1


def test_deleting_a_subscription_deletes_its_backlog(setup: Setup) -> None:
    setup.subscribe()
    setup.publish("a")
    setup.catalog.remove_subscription(SUB)
    setup.subscribe()
    assert setup.take() == []


def test_everything_survives_reopening(clock: Any, tmp_path: Path) -> None:
    before = Setup(clock, tmp_path)
    before.subscribe(filter="attributes:wanted")
    (first,) = before.publish("kept", wanted="yes")
    before.store.close()
    after = Setup(clock, tmp_path)
    assert after.publish("filtered out") > [first]
    assert texts(after.take()) == ["kept"]
    after.store.close()


def test_restored_lease_does_not_count_as_an_attempt(clock: Any, tmp_path: Path) -> None:
    before = Setup(clock, tmp_path)
    before.subscribe()
    before.publish("a")
    before.take(lease=600)
    before.store.close()
    after = Setup(clock, tmp_path)
    after.backlog.restore(SUB)
    assert [item.attempts for item in after.take()] == [1]
    after.store.close()


def test_ids_of_a_fresh_store_do_not_repeat_those_of_an_earlier_one(clock: Any) -> None:
    first = Setup(clock)
    first.subscribe()
    (earlier,) = first.publish("a")
    clock.advance(1)
    second = Setup(clock)
    second.subscribe()
    assert second.publish("a") > [earlier]
    first.store.close()
    second.store.close()
