"""Micro-batches on the local stack, with a bucket notification in place of the trigger."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage

from deploy.local import iam
from emulator.process import Stack

ROOT = Path(__file__).parents[1]
EXECUTIONS = "v1/projects/local-project/locations/us-central1/workflows/inference/executions"

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The local stack without the trigger on uploads."""
    description = yaml.safe_load((ROOT / "deploy" / "local" / "stack.yaml").read_text())
    del description["triggers"]["on-upload"]
    description["iam"] = {"grants": iam.grants(micro_batching=True)}
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(description | {"root": str(ROOT)}))
    with Stack(tmp_path / "data", stack=file) as running:
        running.start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.http)
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", running.grpc)
        yield running
        assert running.refusals() == []


def test_many_small_uploads_share_an_execution(stack: Stack):
    client = storage.Client(project="local-project", credentials=AnonymousCredentials())
    bucket = client.bucket("local-input")
    bucket.notification("uploads", "local-project", payload_format="JSON_API_V1").create()
    for number in range(30):
        bucket.blob(f"{number}.txt").upload_from_string(f"What a wonderful film, says viewer {number}.", "text/plain")
    collect()
    documents = wait_for(client, 30)
    assert {document["status"] for document in documents} == {"succeeded"}
    assert {document["input"]["name"] for document in documents} == {f"{number}.txt" for number in range(30)}
    assert all(len(document["predictions"]) == 1 for document in documents)
    executions = httpx.get(f"{stack.http}/{EXECUTIONS}").raise_for_status().json()["executions"]
    assert 1 <= len(executions) <= 2
    assert {document["lineage"]["execution"] for document in documents} == {
        execution["name"].rpartition("/")[2] for execution in executions
    }


def collect() -> None:
    """Publishes the scheduler's message."""
    publisher = pubsub_v1.PublisherClient()
    publisher.publish("projects/local-project/topics/messages", b'{"collect": {}}').result(timeout=10)


def wait_for(client: storage.Client, count: int, timeout_s: float = 60) -> list[dict]:
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        blobs = list(client.list_blobs("local-output", prefix="results/"))
        if len(blobs) >= count:
            return [json.loads(blob.download_as_bytes()) for blob in blobs]
        time.sleep(0.2)
    raise AssertionError(f"{len(blobs)} documents after {timeout_s} s")
