"""Events under faults: duplicates, races, crashes between the steps, services that refuse."""

import json
import threading
from datetime import UTC, datetime

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
    "refusal", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.DEADLINE_EXCEEDED]
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
    blob = cloud.upload("a.txt", TEXT)
    cloud.claim_upload(blob)
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
    assert cloud.claim(cloud.only_document()["job"])["state"] == "concluded"


def test_an_execution_is_created_only_after_the_claim_is_held(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    states: list[str] = []
    job = of_object(cloud.input.name, "a.txt", blob.generation)
    cloud.executions.before_create = lambda: states.append(cloud.claim(job)["state"])
    function("on_upload").post("/", **finalized(blob))
    assert states == ["claimed"]


# --- events that arrive after the work bucket has forgotten the job ---------------------------------

LONG_AGO = "2025-01-01T12:00:00Z"


def forget(cloud: Cloud) -> None:
    for blob in cloud.client.list_blobs(cloud.work):
        blob.delete()


def test_an_old_event_of_a_finished_input_changes_nothing(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    client = function("on_upload")
    client.post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    error = {"step": "predict", "status": 500, "code": "internal", "message": "It broke."}
    body = {"argument": argument, "lineage": {"execution": "e"}, "error": error}
    assert function("postprocess").post("/", json=body).status_code == 200
    forget(cloud)
    document = cloud.documents()
    assert client.post("/", **finalized(blob, timeCreated=LONG_AGO)).status_code == 200
    assert len(cloud.executions.created) == 1
    assert cloud.documents() == document
    assert not list(cloud.client.list_blobs(cloud.work))


def test_an_old_event_of_an_input_without_a_document_starts_an_execution(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert function("on_upload").post("/", **finalized(blob, timeCreated=LONG_AGO)).status_code == 200
    assert len(cloud.executions.created) == 1


def test_a_fresh_event_costs_no_look_for_an_earlier_document(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    cloud.faulty.requests.clear()
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert [method for method, _ in cloud.faulty.requests] == ["POST", "GET", "GET", "POST"]


def test_an_execution_that_ends_after_its_outcome_was_forgotten_writes_no_second_document(
    cloud: Cloud, function: Function
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    client = function("postprocess")
    good = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}}
    lineage = {"execution": "e"}
    assert client.post("/", json={"argument": argument, "lineage": lineage, "prediction": good}).status_code == 200
    forget(cloud)
    late = argument | {"received_at": LONG_AGO}
    error = {"step": "predict", "status": 500, "code": "internal", "message": "It broke."}
    answer = client.post("/", json={"argument": late, "lineage": lineage, "error": error})
    assert answer.json is not None
    assert answer.json["status"] == "succeeded"
    assert list(cloud.documents()) == [f"results/a.txt/{blob.generation}.json"]


def test_a_manifest_sent_again_after_it_was_forgotten_is_a_duplicate(cloud: Cloud, function: Function) -> None:
    data = json.dumps({"id": "m", "inputs": [f"gs://{cloud.input.name}/a.txt"]}).encode()
    client = function("on_message")
    client.post("/", **published(data))
    (argument,) = cloud.executions.arguments
    error = {"step": "predict", "status": 500, "code": "internal", "message": "It broke."}
    body = {"argument": argument, "lineage": {"execution": "e"}, "error": error}
    assert function("postprocess").post("/", json=body).status_code == 200
    forget(cloud)
    request = published(data, "1002")
    request["json"]["message"]["publishTime"] = datetime.now(UTC).isoformat()
    assert client.post("/", **request).status_code == 200
    assert len(cloud.executions.created) == 1


@pytest.mark.parametrize("kind", ["object", "message"])
def test_an_old_dead_letter_of_a_finished_input_changes_nothing(cloud: Cloud, function: Function, kind: str) -> None:
    if kind == "object":
        blob = cloud.upload("a.txt", b"")
        function("on_upload").post("/", **finalized(blob))
        data = json.dumps(finalized(blob, timeCreated=LONG_AGO)["json"]).encode()
    else:
        data = b'{"instances": 7}'
        function("on_message").post("/", **published(data))
    written = cloud.documents()
    forget(cloud)
    topic = "dead-letters" if kind == "object" else "messages"
    request = published(data, attributes={"CloudPubSubDeadLetterSourceTopicPublishTime": LONG_AGO})
    request["headers"]["ce-source"] = f"//pubsub.googleapis.com/projects/p/topics/{topic}"
    assert function("on_dead_letter").post("/", **request).status_code == 200
    assert cloud.documents() == written
