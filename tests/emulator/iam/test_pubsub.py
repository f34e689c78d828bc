"""Pub/Sub, through the official clients and REST."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1

from emulator.server import Emulator
from tests.emulator.iam.stack import SUBSCRIPTION, TOPIC, email


def test_a_publisher_publishes_and_a_subscriber_pulls(pubsub: Callable[[str, Any], Any]) -> None:
    pubsub("publisher", pubsub_v1.PublisherClient).publish(TOPIC, b"x").result(10)
    subscriber = pubsub("subscriber", pubsub_v1.SubscriberClient)
    (received,) = subscriber.pull(subscription=SUBSCRIPTION, max_messages=1, timeout=20).received_messages
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[received.ack_id])
    with pytest.raises(exceptions.PermissionDenied):
        subscriber.get_subscription(subscription=SUBSCRIPTION)


def test_a_refusal_names_permission_and_resource(pubsub: Callable[[str, Any], Any]) -> None:
    denied = f"not authorized to perform this action. Permission 'pubsub.topics.publish' denied on resource '{TOPIC}'"
    with pytest.raises(exceptions.PermissionDenied, match=denied) as error:
        pubsub("subscriber", pubsub_v1.PublisherClient).publish(TOPIC, b"x").result(10)
    assert error.value.reason == "IAM_PERMISSION_DENIED"
    assert error.value.domain == "pubsub.googleapis.com"
    assert dict(error.value.metadata) == {"permission": "pubsub.topics.publish", "resource": TOPIC}


def test_a_stream_is_refused(pubsub: Callable[[str, Any], Any]) -> None:
    client = pubsub("publisher", pubsub_v1.SubscriberClient)
    future = client.subscribe(SUBSCRIPTION, lambda _: None)
    with pytest.raises(exceptions.PermissionDenied, match=re.escape("pubsub.subscriptions.consume")):
        future.result(20)


def test_a_subscription_needs_its_topic_too(running: Emulator) -> None:
    policy = f"http://{running.http}/v1/projects/p"
    editor = {"role": "roles/pubsub.editor", "members": [f"serviceAccount:{email('nobody')}"]}
    before = httpx.post(f"{policy}:getIamPolicy").json()
    create = f"http://{running.accounts['nobody'].http}/v1/projects/p/subscriptions/mine"
    assert "pubsub.subscriptions.create" in httpx.put(create, json={"topic": TOPIC}).json()["error"]["message"]
    httpx.post(f"{policy}:setIamPolicy", json={"policy": {"bindings": [*before["bindings"], editor]}})
    assert httpx.put(create, json={"topic": TOPIC}).status_code == 200
    httpx.post(f"{policy}:setIamPolicy", json={"policy": {"bindings": before["bindings"]}})
    assert httpx.delete(create).status_code == 403
