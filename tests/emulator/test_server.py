"""The emulator without processes: every API in one event loop, events delivered to a receiver."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator import ports
from emulator.pubsub import protos
from emulator.server import Emulator
from emulator.stack.loader import load
from emulator.stack.model import Stack, StackError
from tests.emulator.receiver import Receiver, receiving, until

STACK = """
buckets: {input: {}, other: {}, work: {lifecycle_days: 7}}
topics: [messages, notices, dead-letters]
subscriptions: {notices: {topic: notices}, dead-letters: {topic: dead-letters}}
services:
  hook: {command: [none], port: 1}
triggers:
  uploads: {event: google.cloud.storage.object.v1.finalized, bucket: input, service: hook, path: /upload}
  removals: {event: google.cloud.storage.object.v1.deleted, bucket: input, service: hook, path: /remove}
  changes: {event: google.cloud.storage.object.v1.metadataUpdated, bucket: input, service: hook, path: /change}
  messages:
    event: google.cloud.pubsub.topic.v1.messagePublished
    topic: messages
    service: hook
    path: /message
    filter: attributes.skip != "yes"
    dead_letter_topic: dead-letters
    backoff: {min: 0.01, max: 0.02}
"""


def stack(folder: Path, text: str = STACK) -> Stack:
    (folder / "stack.yaml").write_text(text)
    return load(folder / "stack.yaml")


@asynccontextmanager
async def emulating(folder: Path, data: Path | None = None) -> AsyncIterator[tuple[Emulator, Receiver]]:
    async with (
        receiving() as receiver,
        Emulator(stack(folder), data, services={"hook": receiver.url}) as emulator,
    ):
        yield emulator, receiver


async def call(emulator: Emulator, method: str, path: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://{emulator.http}") as http:
        return (await http.request(method, path, **options)).raise_for_status()


async def upload(emulator: Emulator, name: str, bucket: str = "input") -> Any:
    query = {"uploadType": "media", "name": name}
    headers = {"Content-Type": "text/plain"}
    path = f"/upload/storage/v1/b/{bucket}/o"
    return (await call(emulator, "POST", path, params=query, headers=headers, content=b"hello")).json()


async def publish(emulator: Emulator, topic: str, **message: Any) -> str:
    response = await call(
        emulator, "POST", f"/v1/projects/local-project/topics/{topic}:publish", json={"messages": [message]}
    )
    return str(response.json()["messageIds"][0])


async def pulled(emulator: Emulator, subscription: str) -> list[dict[str, Any]]:
    """The messages of the first pull that finds any; one may end without."""
    path = f"/v1/projects/local-project/subscriptions/{subscription}:pull"
    received: dict[str, Any] = {}
    while not received:
        received = (await call(emulator, "POST", path, json={"maxMessages": 10}, timeout=30)).json()
    return [item["message"] for item in received["receivedMessages"]]


def test_upload_arrives_as_eventarcs_cloud_event(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as (emulator, receiver):
            resource = await upload(emulator, "ein Ordner/größe.txt")
            await until(lambda: receiver.pushes)
            (push,) = receiver.pushes
            data = json.loads(push.body)
            assert push.path == "/upload"
            assert push.headers["content-type"] == "application/json"
            assert push.headers["ce-specversion"] == "1.0"
            assert push.headers["ce-type"] == "google.cloud.storage.object.v1.finalized"
            assert push.headers["ce-source"] == "//storage.googleapis.com/projects/_/buckets/input"
            assert push.headers["ce-subject"] == "objects/ein%20Ordner/gr%C3%B6%C3%9Fe.txt"
            assert push.headers["ce-bucket"] == "input"
            assert push.headers["ce-id"].isdigit()
            assert push.headers["ce-time"] == resource["updated"]
            assert data["name"] == "ein Ordner/größe.txt"
            assert (data["size"], data["generation"]) == ("5", resource["generation"])
            assert data["contentType"] == "text/plain"

    asyncio.run(check())


def test_each_kind_of_change_goes_to_its_own_trigger_only(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as (emulator, receiver):
            await upload(emulator, "a")
            await upload(emulator, "elsewhere", bucket="other")
            await call(emulator, "PATCH", "/storage/v1/b/input/o/a", json={"metadata": {"k": "v"}})
            await call(emulator, "DELETE", "/storage/v1/b/input/o/a")
            await until(lambda: len(receiver.pushes) == 3)
            kinds = {push.path: push.headers["ce-type"].rsplit(".", 1)[-1] for push in receiver.pushes}
            assert kinds == {"/upload": "finalized", "/change": "metadataUpdated", "/remove": "deleted"}

    asyncio.run(check())


def test_message_arrives_as_eventarcs_cloud_event(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as (emulator, receiver):
            await publish(emulator, "messages", data="aGk=", attributes={"skip": "yes"})
            message_id = await publish(emulator, "messages", data="aGk=", attributes={"k": "v"})
            await until(lambda: receiver.pushes)
            (push,) = receiver.pushes
            body = json.loads(push.body)
            assert push.headers["ce-type"] == "google.cloud.pubsub.topic.v1.messagePublished"
            assert push.headers["ce-source"] == "//pubsub.googleapis.com/projects/local-project/topics/messages"
            assert push.headers["ce-id"] == body["message"]["messageId"] == message_id
            assert push.headers["ce-time"] == body["message"]["publishTime"]
            assert body["message"]["data"] == "aGk="
            assert body["message"]["attributes"] == {"k": "v"}
            assert body["deliveryAttempt"] == 1
            assert body["subscription"].startswith("projects/local-project/subscriptions/eventarc-us-central1-messages")

    asyncio.run(check())


def test_failing_event_goes_to_the_dead_letter_topic(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as (emulator, receiver):
            receiver.answers = [500] * 5
            await publish(emulator, "messages", data="aGk=")
            (dead,) = await pulled(emulator, "dead-letters")
            assert dead["data"] == "aGk="
            assert len(receiver.pushes) == 5

    asyncio.run(check())


def test_bucket_notification_is_published_to_its_topic(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as (emulator, _):
            config = {
                "topic": "//pubsub.googleapis.com/projects/local-project/topics/notices",
                "payload_format": "JSON_API_V1",
                "event_types": ["OBJECT_FINALIZE"],
                "custom_attributes": {"team": "a"},
            }
            made = (await call(emulator, "POST", "/storage/v1/b/other/notificationConfigs", json=config)).json()
            first = await upload(emulator, "a.txt", bucket="other")
            (message,) = await pulled(emulator, "notices")
            assert message["attributes"] == {
                "team": "a",
                "notificationConfig": f"projects/_/buckets/other/notificationConfigs/{made['id']}",
                "eventType": "OBJECT_FINALIZE",
                "payloadFormat": "JSON_API_V1",
                "bucketId": "other",
                "objectId": "a.txt",
                "objectGeneration": first["generation"],
                "eventTime": message["attributes"]["eventTime"],
            }

    asyncio.run(check())


def test_undelivered_events_and_buckets_survive_a_restart(tmp_path: Path) -> None:
    async def check() -> None:
        data = tmp_path / "data"
        async with emulating(tmp_path, data) as (emulator, receiver):
            emulator.hold("hook")
            await upload(emulator, "a")
            await call(emulator, "PATCH", "/storage/v1/b/work", json={"labels": {"mine": "yes"}})
            assert receiver.pushes == []
        async with emulating(tmp_path, data) as (emulator, receiver):
            await until(lambda: receiver.pushes)
            assert json.loads(receiver.pushes[0].body)["name"] == "a"
            bucket = (await call(emulator, "GET", "/storage/v1/b/work")).json()
            assert bucket["labels"] == {"mine": "yes"}
            assert bucket["lifecycle"]["rule"][0]["condition"] == {"age": 7}

    asyncio.run(check())


def test_trigger_removed_from_the_stack_is_gone_after_a_restart(tmp_path: Path) -> None:
    async def check() -> None:
        data = tmp_path / "data"
        async with emulating(tmp_path, data):
            pass
        fewer = STACK[: STACK.index("  removals:")]
        async with Emulator(stack(tmp_path, fewer), data, services={"hook": "http://127.0.0.1:1"}) as emulator:
            names = [name for name in emulator.pubsub.names() if "/eventarc-" in name]
        assert names == [
            "projects/local-project/topics/eventarc-us-central1-uploads",
            "projects/local-project/subscriptions/eventarc-us-central1-uploads-sub",
        ]

    asyncio.run(check())


def test_changed_trigger_delivers_undelivered_events_to_its_new_endpoint(tmp_path: Path) -> None:
    async def check() -> None:
        data = tmp_path / "data"
        async with Emulator(stack(tmp_path), data, services={"hook": "http://127.0.0.1:1"}) as emulator:
            emulator.hold("hook")
            await publish(emulator, "messages", data="aGk=")
        async with emulating(tmp_path, data) as (_, receiver):
            await until(lambda: receiver.pushes)
            assert receiver.pushes[0].path == "/message"

    asyncio.run(check())


def test_held_service_gets_nothing_until_released(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as (emulator, receiver):
            emulator.hold("hook")
            await publish(emulator, "messages", data="aGk=")
            emulator.release("hook")
            await until(lambda: receiver.pushes)
            assert json.loads(receiver.pushes[0].body)["deliveryAttempt"] == 1

    asyncio.run(check())


def test_taken_port_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path, tmp_path / "data") as (emulator, _):
            port = int(emulator.http.rsplit(":", 1)[1])
            other = Emulator(stack(tmp_path), services={"hook": "http://127.0.0.1:1"}, http_port=port)
            with pytest.raises(ports.PortTakenError, match=f"port {port} .* taken"):
                await other.open()
            grpc_port = int(emulator.grpc.rsplit(":", 1)[1])
            other = Emulator(stack(tmp_path), services={"hook": "http://127.0.0.1:1"}, grpc_port=grpc_port)
            with pytest.raises(ports.PortTakenError, match=f"port {grpc_port} .* taken"):
                await other.open()

    asyncio.run(check())


def test_missing_workflow_file_is_reported(tmp_path: Path) -> None:
    async def check() -> None:
        text = "workflows: {flow: {source: nowhere.yaml}}"
        with pytest.raises(StackError, match=r"workflow flow: .*nowhere.yaml: No such file"):
            async with Emulator(stack(tmp_path, text), services={}):
                pass

    asyncio.run(check())


def test_malformed_message_in_a_transport_topic_does_not_stop_delivery(tmp_path: Path) -> None:
    async def check() -> None:
        async with emulating(tmp_path) as (emulator, receiver):
            topic = "projects/local-project/topics/eventarc-us-central1-uploads"
            request = protos.PublishRequest(topic=topic, messages=[protos.Message(data=b"junk")])
            emulator.pubsub.publisher.publish(request)
            await upload(emulator, "good")
            await until(lambda: receiver.pushes)
            assert json.loads(receiver.pushes[0].body)["name"] == "good"

    asyncio.run(check())


NOTIFYING = """
buckets: {output: {}}
topics: [documents]
notifications: {n: {bucket: output, topic: documents, prefix: results/, when: "{env.OPTION:}"}}
"""


def test_a_bucket_s_notification_follows_its_condition_from_start_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        for option, count in (("", 0), ("yes", 1), ("yes", 1), ("", 0)):
            monkeypatch.setenv("OPTION", option)
            async with Emulator(stack(tmp_path, NOTIFYING), tmp_path / "data", services={}) as emulator:
                answer = await call(emulator, "GET", "/storage/v1/b/output/notificationConfigs")
                configs = answer.json().get("items", [])
                assert [config["object_name_prefix"] for config in configs] == ["results/"] * count

    asyncio.run(check())
