"""The unmodified gcloud CLI against the emulator's REST front end."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.cli.guide import addresses, environment
from emulator.server import Emulator
from emulator.stack.loader import load
from emulator.stack.model import Address

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(not shutil.which("gcloud"), reason="the gcloud CLI is not installed"),
]

Gcloud = Callable[..., Any]


@pytest.fixture
def gcloud(background: Any, tmp_path: Path) -> Iterator[Gcloud]:
    """Runs gcloud with the variables that `python -m emulator env` prints; its output, parsed."""
    file = tmp_path / "stack.yaml"
    file.write_text("buckets: {input: {}}")
    stack = load(file)
    emulator = Emulator(stack, services={})
    background.run(emulator.__aenter__())
    here = addresses(stack, tmp_path, Address(emulator.http, emulator.grpc), {}, emulator.accounts)
    env = {**os.environ, **environment(here)}

    def run(*words: str) -> Any:
        command = ["gcloud", *words, "--format=json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    yield run
    background.run(emulator.close())


def test_message_is_published_filtered_pulled_and_acknowledged(gcloud: Gcloud) -> None:
    gcloud("pubsub", "topics", "create", "news")
    gcloud("pubsub", "subscriptions", "create", "mine", "--topic=news", '--message-filter=attributes.for = "me"')
    gcloud("pubsub", "topics", "publish", "news", "--message=theirs", "--attribute=for=them")
    (message_id,) = gcloud("pubsub", "topics", "publish", "news", "--message=hi", "--attribute=for=me")["messageIds"]
    (received,) = gcloud("pubsub", "subscriptions", "pull", "mine", "--auto-ack", "--limit=5")
    assert received["message"]["messageId"] == message_id
    assert gcloud("pubsub", "subscriptions", "pull", "mine", "--limit=5") == []


def test_bucket_notification_created_by_gcloud_is_published(gcloud: Gcloud, tmp_path: Path) -> None:
    gcloud("pubsub", "topics", "create", "uploads")
    gcloud("pubsub", "subscriptions", "create", "uploads", "--topic=uploads")
    gcloud("storage", "buckets", "notifications", "create", "gs://input", "--topic=uploads")
    (tmp_path / "a.txt").write_text("hello")
    gcloud("storage", "cp", str(tmp_path / "a.txt"), "gs://input/a.txt")
    (received,) = gcloud("pubsub", "subscriptions", "pull", "uploads", "--limit=5")
    attributes = received["message"]["attributes"]
    assert (attributes["eventType"], attributes["bucketId"], attributes["objectId"]) == (
        "OBJECT_FINALIZE",
        "input",
        "a.txt",
    )
