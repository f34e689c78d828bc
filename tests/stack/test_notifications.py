"""Notifications through the whole local stack: every document is announced, also to endpoints that were broken."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage

from emulator.process import Stack
from event_inference import Client
from tests.functions.notify.receiver import SECRET, Receiver, receiving, status

ROOT = Path(__file__).parents[2]
TOPIC = "projects/local-project/topics/notifications"

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(240)]


@dataclass
class Notified:
    """The running stack, and its three receivers."""

    stack: Stack
    objects: storage.Client
    steady: Receiver  # of everything
    broken: Receiver  # of everything too
    rejections: Receiver

    def upload(self, name: str, content: bytes, media_type: str) -> None:
        self.objects.bucket("local-input").blob(name).upload_from_string(content, media_type)


@pytest.fixture(scope="module")
def notified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notified]:
    folder = tmp_path_factory.mktemp("notified")
    with (
        receiving() as steady,
        receiving() as broken,
        receiving() as rejections,
        Stack(folder / ".local") as stack,
        pytest.MonkeyPatch.context() as environment,
    ):
        urls = {"steady": steady, "broken": broken, "rejections": rejections}
        endpoints: list[dict[str, Any]] = [
            {"name": name, "url": receiver.url, "secrets": [SECRET]} for name, receiver in urls.items()
        ]
        endpoints[-1]["status"] = "rejected"
        endpoints.append({"name": "topic", "topic": TOPIC, "prefix": "texts/"})
        file = folder / "endpoints.yaml"
        file.write_text(json.dumps({"endpoints": endpoints}))
        environment.setenv("NOTIFICATIONS", str(file))
        stack.start()
        environment.setenv("STORAGE_EMULATOR_HOST", stack.http)
        environment.setenv("PUBSUB_EMULATOR_HOST", stack.grpc)
        client = storage.Client(project="local-project", credentials=AnonymousCredentials())
        yield Notified(stack, client, steady, broken, rejections)
        assert stack.refusals() == []


def test_every_document_is_announced_once_to_all_who_want_it(notified: Notified) -> None:
    subscriber = pubsub_v1.SubscriberClient()
    subscription = "projects/local-project/subscriptions/own"
    subscriber.create_subscription(name=subscription, topic=TOPIC)
    notified.broken.answer = status(500)
    notified.upload("texts/praise.txt", b"What a wonderful film.", "text/plain")
    notified.upload("texts/empty.txt", b"", "text/plain")
    notified.upload("tables/reviews.csv", b"id,review\n1,What a dull film it is.\n2,A wonderful film.\n", "text/csv")
    topic = "projects/local-project/topics/messages"
    pubsub_v1.PublisherClient().publish(topic, b'{"instances": [{"text": "A wonderful film."}]}').result(10)
    until(lambda: len(notified.steady.requests) == 4, "four notifications")
    told = {body["data"]["document"].removeprefix("gs://local-output/"): body for body in notified.steady.verified()}
    assert {(name.split("/")[0], name.split("/")[1]) for name in told} == {
        ("results", "texts"),
        ("rejected", "texts"),
        ("results", "tables"),
        ("results", "messages"),
    }
    for name, body in told.items():
        document = json.loads(notified.objects.bucket("local-output").blob(name).download_as_bytes())
        assert {key: body["data"][key] for key in ("job", "status", "kind")} == {
            key: document[key] for key in ("job", "status", "kind")
        }
        assert body["type"] == f"document.{document['status']}"
    (only,) = notified.rejections.verified()
    assert only["data"]["status"] == "rejected"

    published: set[str] = set()

    def receive() -> bool:
        pulled = subscriber.pull(subscription=subscription, max_messages=10, timeout=20).received_messages
        published.update(json.loads(each.message.data)["data"]["document"].split("/")[-2] for each in pulled)
        return published == {"praise.txt", "empty.txt"}

    until(receive, "the messages about texts")

    assert len(notified.broken.requests) >= 1
    notified.broken.answer = status(200)
    until(lambda: set(notified.broken.ids) == set(notified.steady.ids), "what the broken endpoint missed", 120)
    assert len(notified.steady.requests) == 4, "the others got nothing twice"
    assert len(notified.rejections.requests) == 1


def test_what_was_given_up_is_listed_and_sent_again(notified: Notified) -> None:
    notified.rejections.requests.clear()
    notified.rejections.answer = status(410)
    notified.upload("texts/empty-too.txt", b"", "text/plain")
    with Client(local=notified.stack.data) as client:
        until(lambda: list(client.undelivered()), "an undelivered notification")
        (found,) = client.undelivered("rejections")
        assert (found.code, found.type) == ("gone", "document.rejected")
        assert found.document.startswith("gs://local-output/rejected/texts/empty-too.txt/")
        notified.rejections.answer = status(204)
        client.send_again(found)
        until(lambda: len(notified.rejections.requests) == 2, "the repetition")
        assert notified.rejections.ids == [found.id] * 2
        assert list(client.undelivered()) == []


def until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)
