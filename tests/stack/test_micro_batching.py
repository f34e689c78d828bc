"""Micro-batches and inputs that may wait on the local stack, with a bucket notification in place of the trigger."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from google.cloud import pubsub_v1, storage

from deploy.local import iam
from emulator.process import Stack
from tests.stack import changed
from tests.stack import test_own_models as own_models

ROOT = Path(__file__).parents[2]
EXECUTIONS = "v1/projects/local-project/locations/us-central1/workflows/inference/executions"

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The local stack without the trigger on uploads, whose schedule does not collect by itself."""
    content = changed.description()
    del content["triggers"]["on-upload"]
    content["iam"] = {"grants": iam.grants(micro_batching=True)}
    content["schedules"]["collect"]["paused"] = True
    with changed.started(tmp_path_factory.mktemp("stack"), content) as running:
        bucket = own_models.client(running).bucket("local-input")
        bucket.notification("uploads", "local-project", payload_format="JSON_API_V1").create()
        yield running


def test_many_small_uploads_share_an_execution(stack: Stack, client: storage.Client):
    bucket = client.bucket("local-input")
    for number in range(30):
        bucket.blob(f"film{number}.txt").upload_from_string(
            f"What a wonderful film, says viewer {number}.", "text/plain"
        )
    collect()
    documents = wait_for(client, 30, "film")
    assert {document["status"] for document in documents} == {"succeeded"}
    assert {document["input"]["name"] for document in documents} == {f"film{number}.txt" for number in range(30)}
    assert all(len(document["predictions"]) == 1 for document in documents)
    executions = httpx.get(f"{stack.http}/{EXECUTIONS}").raise_for_status().json()["executions"]
    assert 1 <= len(executions) <= 2
    assert {document["lineage"]["execution"] for document in documents} == {
        execution["name"].rpartition("/")[2] for execution in executions
    }


def test_inputs_that_have_waited_run_as_the_job(stack: Stack, client: storage.Client):
    """Where no instance of the service is known to be awake, the job is billed for less."""
    for number in range(3):
        blob = client.bucket("local-input").blob(f"waiting/{number}.txt")
        blob.metadata = {"max_wait": "1m"}
        blob.upload_from_string(f"What a dull film, says viewer {number}.", "text/plain")
    collect()
    give_up = time.monotonic() + 60
    while len(list(client.list_blobs("local-work", prefix="waiting/"))) < 3:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    collect()
    documents = wait_for(client, 3, "waiting/")
    assert {document["predictions"][0]["label"] for document in documents} == {"NEGATIVE"}
    assert len({document["lineage"]["execution"] for document in documents}) == 1
    jobs = "v2/projects/local-project/locations/us-central1/jobs/gpu-job/executions"
    (task,) = httpx.get(f"{stack.http}/{jobs}").raise_for_status().json()["executions"]
    assert task["taskCount"] == task["succeededCount"] == 1
    assert list(client.list_blobs("local-work", prefix="waiting/")) == []


def test_recommendations_are_written_on_the_laptop_too(stack: Stack, client: storage.Client):
    order("recommend")
    give_up = time.monotonic() + 60
    while not (blobs := list(client.list_blobs("local-output", prefix="recommendations/"))):
        assert time.monotonic() < give_up
        time.sleep(0.2)
    content = json.loads(blobs[0].download_as_bytes())
    seen = len(list(client.list_blobs("local-output", prefix="results/")))
    assert content["measured"]["documents"] == seen
    assert content["missing"] == [f"100 inputs: {seen} have been measured"]


def collect() -> None:
    order("collect")


def order(name: str) -> None:
    """Publishes the scheduler's message."""
    publisher = pubsub_v1.PublisherClient()
    publisher.publish("projects/local-project/topics/messages", json.dumps({name: {}}).encode()).result(timeout=10)


def wait_for(client: storage.Client, count: int, prefix: str = "", timeout_s: float = 60) -> list[dict]:
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        blobs = list(client.list_blobs("local-output", prefix=f"results/{prefix}"))
        if len(blobs) >= count:
            return [json.loads(blob.download_as_bytes()) for blob in blobs]
        time.sleep(0.2)
    raise AssertionError(f"{len(blobs)} documents after {timeout_s} s")
