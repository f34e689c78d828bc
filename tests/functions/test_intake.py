"""Events under faults: duplicates, races, crashes between the steps, services that refuse."""

import threading

import grpc
import pytest

from pipeline.jobs.job import of_object
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."


def test_duplicates_are_acknowledged_and_start_nothing(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    client = function("on_upload")
    answers = [client.post("/", **finalized(blob, event_id)) for event_id in ("1", "1", "2", "3")]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(cloud.executions.created) == 1


def test_the_event_and_the_notification_of_an_object_are_one_job(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    function("on_upload").post("/", **finalized(blob))
    attributes = {"eventType": "OBJECT_FINALIZE", "bucketId": cloud.input.name, "payloadFormat": "JSON_API_V1"}
    import json

    message = published(json.dumps(finalized(blob)["json"]).encode(), attributes=attributes)
    assert function("on_message").post("/", **message).status_code == 200
    assert len(cloud.executions.created) == 1


def test_a_new_generation_is_a_new_job(cloud: Cloud, function: Function) -> None:
    client = function("on_upload")
    for _ in range(2):
        client.post("/", **finalized(cloud.upload("a.txt", TEXT)))
    first, second = cloud.executions.arguments
    assert first["job"] != second["job"]
    assert first["document"] != second["document"]


def test_racing_deliveries_start_one_execution(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    client = function("on_upload")
    gate = threading.Barrier(8)
    codes: list[int] = []

    def deliver(index: int) -> None:
        gate.wait()
        codes.append(client.application.test_client().post("/", **finalized(blob, str(index))).status_code)

    threads = [threading.Thread(target=deliver, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cloud.executions.created) == 1
    assert set(codes) <= {200, 503}
    assert codes.count(200) >= 1
    assert client.post("/", **finalized(blob, "later")).status_code == 200


@pytest.mark.parametrize(
    "refusal", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED]
)
def test_an_event_whose_execution_cannot_be_created_is_redelivered(
    cloud: Cloud, function: Function, refusal: grpc.StatusCode
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    cloud.executions.refusals = [refusal]
    client = function("on_upload")
    answer = client.post("/", **finalized(blob))
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["error"]["code"] == "unavailable"
    assert client.post("/", **finalized(blob)).status_code == 200  # immediately, since the claim was released
    assert len(cloud.executions.created) == 1


def test_an_execution_that_was_created_stays_the_only_one_when_its_claim_cannot_be_confirmed(
    cloud: Cloud, function: Function
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    fault = cloud.fault("POST", "name=claims/", status=403)
    count = iter(range(9))
    matches = fault.matches
    fault.matches = lambda method, target: matches(method, target) and next(count) == 1  # the second write
    client = function("on_upload")
    assert client.post("/", **finalized(blob)).status_code == 200
    assert client.post("/", **finalized(blob)).status_code == 503
    assert len(cloud.executions.created) == 1


def test_a_claim_left_by_a_crash_delays_only_until_its_lease_expires(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.jobs.claims import Claims

    blob = cloud.upload("a.txt", TEXT)
    Claims(cloud.work, 60).acquire(of_object(cloud.input.name, "a.txt", blob.generation), "dead")
    answer = function("on_upload").post("/", **finalized(blob))
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["error"]["code"] == "in_progress"
    monkeypatch.setenv("CLAIM_LEASE_SECONDS", "0")
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert len(cloud.executions.created) == 1


WRITES = ("claims/", "outcomes/", "rejected/", "latest/")


@pytest.mark.parametrize("folder", WRITES)
def test_a_rejection_survives_storage_failures(cloud: Cloud, function: Function, folder: str) -> None:
    blob = cloud.upload("a.txt", b"")
    client = function("on_upload")
    fault = cloud.fault("POST", f"name={folder}", status=403)
    assert client.post("/", **finalized(blob)).status_code == 503
    assert not fault.times
    assert client.post("/", **finalized(blob)).status_code == 200
    assert list(cloud.documents()) == [f"rejected/a.txt/{blob.generation}.json"]
    assert list(cloud.documents("latest")) == ["latest/a.txt.json"]
    assert client.post("/", **finalized(blob)).status_code == 200


def test_lost_responses_change_nothing(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", b"")
    faults = [cloud.fault("POST", f"name={folder}", done_first=True) for folder in WRITES]
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert not any(fault.times for fault in faults)
    assert list(cloud.documents()) == [f"rejected/a.txt/{blob.generation}.json"]
    assert list(cloud.documents("latest")) == ["latest/a.txt.json"]
    assert cloud.claim(cloud.only_document()["job"])["state"] == "started"


def test_an_execution_is_created_only_after_the_claim_is_held(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    states: list[str] = []
    job = of_object(cloud.input.name, "a.txt", blob.generation)
    cloud.executions.before_create = lambda: states.append(cloud.claim(job)["state"])
    function("on_upload").post("/", **finalized(blob))
    assert states == ["claimed"]
