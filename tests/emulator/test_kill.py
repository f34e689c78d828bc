"""What the emulator has accepted survives SIGKILL: messages, uploads, and the notifications of uploads."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.api_core.exceptions import GoogleAPICallError, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage
from google.cloud.storage.retry import DEFAULT_RETRY

from emulator.process import Stack

STACK = """
buckets: {inbox: {}}
topics: [topic]
subscriptions: {subscription: {topic: topic}}
"""
KILLS = 4
ACCEPTED_BETWEEN_KILLS = 25
PATIENT = DEFAULT_RETRY.with_timeout(300)


def killed_with_its_group(stack: Stack) -> None:
    os.killpg(stack.pid, signal.SIGKILL)
    stack.kill()
    stack.start()


@pytest.mark.release
@pytest.mark.stack
@pytest.mark.timeout(400)
def test_all_that_was_accepted_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack.yaml").write_text(STACK)
    with Stack(tmp_path / "data", stack=tmp_path / "stack.yaml") as stack:
        stack.start()
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", stack.grpc)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.http)
        client = storage.Client(project="local-project", credentials=AnonymousCredentials())
        client.bucket("inbox").notification("topic", "local-project").create()
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        topic = publisher.topic_path("local-project", "topic")
        accepted: set[str] = set()
        delivered: set[str] = set()
        stop, sent = threading.Event(), threading.Event()

        def publish(text: str) -> None:
            publisher.publish(topic, b"{}", name=text).result(timeout=300)

        def upload(name: str) -> None:
            blob = client.bucket("inbox").blob(name)
            try:
                blob.upload_from_string("{}", if_generation_match=0, retry=PATIENT)
            except PreconditionFailed:  # the first response was lost
                blob.reload(retry=PATIENT)

        def work(send: Callable[[str], None], kind: str) -> None:
            for number in itertools.count():
                if stop.is_set():
                    return
                send(f"{kind}-{number}")
                accepted.add(f"{kind}-{number}")

        def pull() -> None:
            path = subscriber.subscription_path("local-project", "subscription")
            while not sent.is_set() or not accepted <= delivered:
                try:
                    response = subscriber.pull(request={"subscription": path, "max_messages": 20}, timeout=3)
                    attributes = [dict(received.message.attributes) for received in response.received_messages]
                    delivered.update(each.get("name") or each["objectId"] for each in attributes)
                    if ids := [received.ack_id for received in response.received_messages]:
                        subscriber.acknowledge(request={"subscription": path, "ack_ids": ids}, timeout=3)
                except GoogleAPICallError:
                    time.sleep(0.05)

        with ThreadPoolExecutor(8) as pool:
            work_done = [pool.submit(work, publish, f"message{number}") for number in range(3)]
            work_done += [pool.submit(work, upload, f"object{number}") for number in range(3)]
            pulling = pool.submit(pull)
            for _ in range(KILLS):
                goal = len(accepted) + ACCEPTED_BETWEEN_KILLS
                while len(accepted) < goal:
                    time.sleep(0.01)
                killed_with_its_group(stack)
            stop.set()
            for future in work_done:
                future.result()
            sent.set()
            pulling.result()
        assert accepted <= delivered
