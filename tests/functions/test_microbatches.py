"""Micro-batches: notifications wait in a subscription; one execution for many small uploads, a document for each."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.cloud import storage
from google.pubsub_v1 import types as pubsub

from pipeline import jobs
from tests.functions import gpu
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published
from tests.functions.test_on_message import notification
from tests.functions.test_postprocess import LINEAGE

pytestmark = pytest.mark.usefixtures("check_documents", "subscribed")

SUBSCRIPTION = "projects/p/subscriptions/uploads"


@pytest.fixture
def subscribed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLECT_SUBSCRIPTION", SUBSCRIPTION)


def announce(cloud: Cloud, blob: storage.Blob, **attributes: str) -> None:
    """What Cloud Storage publishes of an object."""
    message = pubsub.PubsubMessage(
        data=json.dumps(finalized(blob)["json"]).encode(),
        attributes=notification(blob) | attributes,
        message_id=str(len(cloud.executions.uploads.waiting) + 1),
    )
    cloud.executions.uploads.add(message)


def upload(cloud: Cloud, name: str, data: bytes | str = "I liked it.", **more: Any) -> storage.Blob:
    blob = cloud.upload(name, data, **more)
    announce(cloud, blob)
    return blob


Collect = Callable[..., dict[str, Any]]


@pytest.fixture
def collect(cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]) -> Collect:
    """Sends a collect order; what its closing line counts."""

    def collect(status: int = 200, **order: Any) -> dict[str, Any]:
        capsys.readouterr()
        answer = function("on_message").post("/", **published(json.dumps({"collect": order}).encode()))
        assert answer.status_code == status, answer.text
        line: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return line

    return collect


def run(cloud: Cloud, function: Function, index: int = -1, shards: tuple[int, ...] = ()) -> dict[str, Any]:
    """Runs the execution that was started last, or as the index says, as the workflow would; postprocess's answer."""
    execution = cloud.executions.created[index]
    argument = json.loads(execution.argument)
    lineage = LINEAGE | {"execution": execution.name.rpartition("/")[2]}
    prepared = function("preprocess").post("/", json=argument)
    assert prepared.status_code == 200, prepared.text
    batch = prepared.get_json()
    gpu.predict(cloud, batch, *shards)
    body = {"argument": argument, "batch": batch | {"errors": []}, "lineage": lineage}
    answer = function("postprocess").post("/", json=body)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_small_texts_share_one_execution(cloud: Cloud, function: Function, collect: Collect) -> None:
    blobs = [upload(cloud, f"{number}.txt", f"I liked it {number} times.") for number in range(5)]
    line = collect()
    assert (line["message"], line["reason"]) == ("accepted", "collect")
    assert (line["pulled"], line["accepted"], line["executions"]) == (5, 5, 1)
    (execution,) = cloud.executions.created
    for blob in blobs:
        claim = cloud.claim(jobs.of_object(blob.bucket.name, blob.name, blob.generation))
        assert (claim["state"], claim["execution"]) == ("started", execution.name)
    assert not cloud.executions.uploads.leased
    answer = run(cloud, function)
    assert (answer["status"], answer["members"]) == ("succeeded", {"succeeded": 5})
    assert list(cloud.documents()) == [f"results/{blob.name}/{blob.generation}.json" for blob in blobs]
