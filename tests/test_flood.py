"""A flood of uploads on the local stack: few executions, every document, no dead letter."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from emulator.process import Stack
from pipeline.jobs.quotas import OF_SHAREABLE

ROOT = Path(__file__).parents[1]
EXECUTIONS = "v1/projects/local-project/locations/us-central1/workflows/inference/executions"
INPUTS = int(os.environ.get("FLOOD_INPUTS", "300"))
CAP = max(100, INPUTS // 10)
COLLECTED_EVERY_S = 60  # by the schedule

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(120 + INPUTS)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The local stack with a tenth of the executions that the inputs would need."""
    description = yaml.safe_load((ROOT / "deploy" / "local" / "stack.yaml").read_text())
    for name in ("on-upload", "on-message"):
        description["services"][name].setdefault("env", {})["MAX_EXECUTIONS_PER_HOUR"] = str(CAP)
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(description | {"root": str(ROOT)}))
    with Stack(tmp_path / "data", stack=file) as running:
        running.start()
        yield running
        assert running.refusals() == []


def test_every_input_of_a_flood_gets_its_document(stack: Stack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.http)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", stack.grpc)
    client = storage.Client(project="local-project", credentials=AnonymousCredentials())
    bucket = client.bucket("local-input")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: upload(bucket, number), range(INPUTS)))
    assert wait_for_documents(client) == {"results": INPUTS}
    answer = (
        httpx.get(f"{stack.http}/{EXECUTIONS}", params={"pageSize": 1000, "view": "FULL"}).raise_for_status().json()
    )
    kinds = Counter(json.loads(execution["argument"])["kind"] for execution in answer["executions"])
    assert kinds["text"] <= CAP * OF_SHAREABLE
    assert kinds["microbatch"] >= 1
    assert sum(kinds.values()) <= CAP
    assert list(client.list_blobs("local-work", prefix="waiting/")) == []


def upload(bucket: storage.Bucket, number: int) -> None:
    bucket.blob(f"{number}.txt").upload_from_string(f"A fine film, says viewer {number}.", "text/plain")


def wait_for_documents(client: storage.Client) -> Counter[str]:
    """The documents by folder, once there is one for each input and the next collection has had its turn."""
    give_up = time.monotonic() + COLLECTED_EVERY_S + INPUTS
    while time.monotonic() < give_up:
        folders = Counter(
            blob.name.partition("/")[0]
            for folder in ("results", "rejected", "failed")
            for blob in client.list_blobs("local-output", prefix=f"{folder}/")
        )
        if folders.total() >= INPUTS and not list(client.list_blobs("local-work", prefix="waiting/")):
            return folders
        time.sleep(1)
    raise AssertionError(f"{folders} instead of {INPUTS} documents")
