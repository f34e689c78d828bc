"""on_dead_letter, served by functions-framework: every dead letter ends in a failed document that can be replayed."""

import json
from typing import Any

import pytest

from pipeline.jobs import job
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, Logged, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."


def letter(data: Any, message_id: str = "77", attributes: dict[str, str] | None = None, **said: str) -> dict[str, Any]:
    """A dead letter as Pub/Sub forwards it: an id of its own, the source in its attributes."""
    source = {
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "eventarc-us-central1-on-upload-sub",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2025-11-21T10:20:00.200000Z",
    }
    encoded = data if isinstance(data, bytes | str | None) else json.dumps(data).encode()
    request = published(encoded, message_id, source | said | (attributes or {}))
    request["headers"]["ce-source"] = "//pubsub.googleapis.com/projects/p/topics/dead-letters"
    return request


def deliver(function: Function, request: dict[str, Any]) -> int:
    return function("on_dead_letter").post("/", **request).status_code


def test_an_object_s_event_ends_in_a_failed_document_that_can_be_replayed(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("in/a.txt", TEXT, metadata={"top_k": "2"})
    attributes = {"eventType": "OBJECT_FINALIZE", "bucketId": cloud.input.name, "objectId": blob.name}
    for message_id in ("77", "78"):  # dead letters are delivered more than once, too
        assert deliver(function, letter(finalized(blob)["json"], message_id, attributes)) == 200
    assert list(cloud.documents()) == [f"failed/in/a.txt/{blob.generation}.json"]
    document = cloud.only_document()
    assert document["job"] == job.of_object(cloud.input.name, "in/a.txt", blob.generation)
    error = document["error"]
    assert (error["code"], error["step"], error["deliveries"]) == ("undeliverable", "deliver", 5)
    assert "eventarc-us-central1-on-upload-sub" in error["message"]

    function("on_message").post("/", **published(b'{"replay": {"code": "undeliverable"}}'))
    (argument,) = cloud.executions.arguments
    assert (argument["kind"], argument["parameters"]) == ("text", {"top_k": 2})
    good = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}}
    body = {"argument": argument, "lineage": {"execution": "e"}, "prediction": good}
    assert function("postprocess").post("/", json=body).status_code == 200
    assert list(cloud.documents()) == [f"results/in/a.txt/{blob.generation}.json"]
    (attempt,) = cloud.only_document()["attempts"]
    assert (attempt["execution"], attempt["error"]["deliveries"]) == (None, 5)


@pytest.mark.parametrize("shape", ["attributes alone", "a whole CloudEvent", "ce- attributes"])
def test_an_object_is_identified_in_every_form_of_its_event(cloud: Cloud, function: Function, shape: str) -> None:
    blob = cloud.upload("a.txt", TEXT)
    data = finalized(blob)["json"]
    if shape == "attributes alone":
        named = {"bucketId": cloud.input.name, "objectId": "a.txt", "objectGeneration": str(blob.generation)}
        request = letter(None, attributes={"eventType": "OBJECT_FINALIZE", "payloadFormat": "NONE"} | named)
    elif shape == "a whole CloudEvent":
        request = letter({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": data})
    else:
        request = letter(data, attributes={"ce-type": "google.cloud.storage.object.v1.finalized", "ce-id": "9"})
    assert deliver(function, request) == 200
    assert list(cloud.documents()) == [f"failed/a.txt/{blob.generation}.json"]
    assert cloud.only_document()["input"]["size"] == len(TEXT)


@pytest.mark.parametrize("ignored", ["deleted", "stamped", "folder"])
def test_an_event_without_an_input_leaves_nothing(cloud: Cloud, function: Function, ignored: str) -> None:
    blob = cloud.upload("a/" if ignored == "folder" else "a.txt", b"" if ignored == "folder" else TEXT)
    data = finalized(blob)["json"]
    if ignored == "stamped":
        data["metadata"] = {"pipeline-job": "0" * 32}
    event_type = "OBJECT_DELETE" if ignored == "deleted" else "OBJECT_FINALIZE"
    assert deliver(function, letter(data, attributes={"eventType": event_type})) == 200
    assert not cloud.documents()


def test_a_decided_job_is_left_alone(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", b"")
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert deliver(function, letter(finalized(blob)["json"])) == 200
    assert list(cloud.documents()) == [f"rejected/a.txt/{blob.generation}.json"]


def test_a_running_job_is_left_to_its_execution(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert deliver(function, letter(finalized(blob)["json"])) == 200
    assert not cloud.documents()


def test_a_job_with_a_fresh_claim_is_retried_later(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    cloud.claim_upload(blob)
    assert deliver(function, letter(finalized(blob)["json"])) == 503
    monkeypatch.setenv("CLAIM_LEASE_SECONDS", "0")
    assert deliver(function, letter(finalized(blob)["json"])) == 200
    assert list(cloud.documents()) == [f"failed/a.txt/{blob.generation}.json"]


def test_a_half_written_outcome_is_finished(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", b"")
    cloud.fault("POST", "name=rejected/", status=403)
    assert function("on_upload").post("/", **finalized(blob)).status_code == 503
    assert deliver(function, letter(finalized(blob)["json"])) == 200
    assert list(cloud.documents()) == [f"rejected/a.txt/{blob.generation}.json"]


def test_a_letter_that_comes_again_after_a_crash_changes_nothing(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert deliver(function, letter(finalized(blob)["json"])) == 200
    (failed,) = cloud.client.list_blobs(cloud.output, prefix="failed/")
    cloud.work.delete_blob(f"claims/{cloud.only_document()['job']}.json")  # as if it had crashed before confirming it
    capsys.readouterr()
    assert deliver(function, letter(finalized(blob)["json"])) == 200
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["message"], line["reason"]) == ("ignored", "duplicate")
    assert cloud.output.get_blob(failed.name).generation == failed.generation


def test_a_letter_that_comes_again_does_not_decide_a_job_that_is_being_replayed(
    cloud: Cloud, function: Function
) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert deliver(function, letter(finalized(blob)["json"])) == 200
    function("on_message").post("/", **published(b'{"replay": {}}'))
    (argument,) = cloud.executions.arguments
    cloud.work.delete_blob(f"claims/{argument['job']}.json")
    assert deliver(function, letter(finalized(blob)["json"])) == 200
    good = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}}
    body = {"argument": argument, "lineage": {"execution": "e"}, "prediction": good}
    assert function("postprocess").post("/", json=body).status_code == 200
    assert list(cloud.documents()) == [f"results/a.txt/{blob.generation}.json"]


# --- messages --------------------------------------------------------------------------------------

INLINE = {"instances": [{"text": "A delight."}], "model": "sentiment"}


def test_an_inline_message_is_kept_and_can_be_replayed(cloud: Cloud, function: Function) -> None:
    assert deliver(function, letter(INLINE)) == 200
    assert list(cloud.documents()) == ["failed/messages/dead-letters/id-77.json"]
    assert cloud.only_document()["kind"] == "text"
    function("on_message").post("/", **published(b'{"replay": {}}'))
    (argument,) = cloud.executions.arguments
    assert argument["document"] == "messages/dead-letters/id-77"
    assert argument["model"] == {"name": "sentiment", "version": None, "chosen_by": "requested"}
    prepared = function("preprocess").post("/", json=argument)
    assert prepared.json is not None
    assert prepared.json["instances"] == INLINE["instances"]


def test_a_message_that_was_delivered_again_ends_under_its_own_name(cloud: Cloud, function: Function) -> None:
    import grpc

    cloud.executions.refusals = [grpc.StatusCode.UNAVAILABLE]
    request = published(json.dumps(INLINE).encode(), attributes={"from": "me"})
    request["json"]["deliveryAttempt"] = 2
    assert function("on_message").post("/", **request).status_code == 503
    assert deliver(function, letter(INLINE, attributes={"from": "me"})) == 200
    assert list(cloud.documents()) == ["failed/messages/messages/id-1001.json"]
    assert cloud.only_document()["job"] == job.of_message("messages", "1001")


def test_a_message_whose_job_was_started_gets_no_second_document(cloud: Cloud, function: Function) -> None:
    request = published(json.dumps(INLINE).encode())
    request["json"]["deliveryAttempt"] = 2
    assert function("on_message").post("/", **request).status_code == 200
    assert deliver(function, letter(INLINE)) == 200
    assert not cloud.documents()


def redelivered(data: Any, message_id: str) -> dict[str, Any]:
    request = published(json.dumps(data).encode(), message_id)
    request["json"]["deliveryAttempt"] = 2
    return request


def test_equal_messages_have_a_document_each(cloud: Cloud, function: Function) -> None:
    import grpc

    other = {"instances": [{"text": "Another one."}]}
    messages = [(INLINE, str(number)) for number in range(5)] + [(other, "5")]
    cloud.executions.refusals = [grpc.StatusCode.UNAVAILABLE] * 6
    for data, message_id in messages:
        assert function("on_message").post("/", **redelivered(data, message_id)).status_code == 503
    for _ in range(2):  # dead letters are delivered more than once, too
        for data, message_id in messages:
            assert deliver(function, letter(data, f"7{message_id}")) == 200
    expected = [f"failed/messages/messages/id-{number}.json" for number in range(6)]
    assert sorted(cloud.documents()) == expected


def test_of_equal_messages_the_one_that_was_not_taken_in_becomes_the_dead_letter(
    cloud: Cloud, function: Function
) -> None:
    import grpc

    client = function("on_message")
    assert client.post("/", **redelivered(INLINE, "1")).status_code == 200
    cloud.executions.refusals = [grpc.StatusCode.UNAVAILABLE]
    assert client.post("/", **redelivered(INLINE, "2")).status_code == 503
    for message_id in ("71", "72"):  # the first acknowledgement was lost
        assert deliver(function, letter(INLINE, message_id)) == 200
    assert list(cloud.documents()) == ["failed/messages/messages/id-2.json"]


def test_a_rejected_message_whose_acknowledgement_was_lost_gets_no_second_document(
    cloud: Cloud, function: Function
) -> None:
    assert function("on_message").post("/", **redelivered({"instances": 7}, "1")).status_code == 200
    assert deliver(function, letter({"instances": 7})) == 200
    assert list(cloud.documents()) == ["rejected/messages/messages/id-1.json"]


def forget(cloud: Cloud) -> None:
    """Deletes what the work bucket deletes after a week."""
    for blob in cloud.client.list_blobs(cloud.work):
        blob.delete()


def test_a_letter_that_comes_after_the_work_bucket_has_forgotten_its_message_writes_no_second_document(
    cloud: Cloud, function: Function
) -> None:
    assert function("on_message").post("/", **redelivered({"instances": 7}, "1")).status_code == 200
    forget(cloud)
    for message_id in ("71", "71"):
        assert deliver(function, letter({"instances": 7}, message_id)) == 200
    assert list(cloud.documents()) == ["rejected/messages/messages/id-1.json"]


def test_of_forgotten_equal_messages_the_one_without_a_document_becomes_the_dead_letter(
    cloud: Cloud, function: Function
) -> None:
    import grpc

    client = function("on_message")
    for message_id in ("1", "3"):
        assert client.post("/", **redelivered(INLINE, message_id)).status_code == 200
    postprocess = function("postprocess")
    good = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}}
    for argument in cloud.executions.arguments:
        body = {"argument": argument, "lineage": {"execution": "e"}, "prediction": good}
        assert postprocess.post("/", json=body).status_code == 200
    cloud.executions.refusals = [grpc.StatusCode.UNAVAILABLE]
    assert client.post("/", **redelivered(INLINE, "2")).status_code == 503
    forget(cloud)
    for message_id in ("71", "72", "73", "71", "72", "73"):
        assert deliver(function, letter(INLINE, message_id)) == 200
    documents = [f"results/messages/messages/id-{number}.json" for number in (1, 3)]
    assert sorted(cloud.documents()) == ["failed/messages/messages/id-2.json", *documents]


def test_a_letter_of_a_forgotten_object_or_manifest_writes_no_second_document(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", b"")
    old = {"timeCreated": "2025-11-21T10:20:00Z"}
    attributes = {"bucketId": cloud.input.name, "objectId": "a.txt", "objectGeneration": str(blob.generation)}
    manifest = {"id": "order-7", "inputs": [f"gs://{cloud.input.name}/a.txt"]}
    assert function("on_upload").post("/", **finalized(blob)).status_code == 200
    assert deliver(function, letter(manifest)) == 200
    before = sorted(cloud.documents())
    forget(cloud)
    assert deliver(function, letter(finalized(blob, **old)["json"], "72")) == 200
    blob.delete()
    attributes |= {"eventType": "OBJECT_FINALIZE", "payloadFormat": "NONE"}
    assert deliver(function, letter(None, "73", attributes=attributes)) == 200
    assert deliver(function, letter(manifest, "74")) == 200
    assert sorted(cloud.documents()) == before


def test_a_manifest_ends_under_its_id_and_can_be_replayed(cloud: Cloud, function: Function) -> None:
    assert deliver(function, letter({"id": "order-7", "inputs": [f"gs://{cloud.input.name}/a.txt"]})) == 200
    assert list(cloud.documents()) == ["failed/manifests/id-order-7.json"]
    function("on_message").post("/", **published(b'{"replay": {}}'))
    assert [argument["document"] for argument in cloud.executions.arguments] == ["manifests/id-order-7"]
    assert cloud.only_document()["error"]["code"] == "undeliverable", "it stands until there is another"


@pytest.mark.parametrize(
    "data",
    [None, b"", b"hello", "***", b"\xff\xfe", b"[1]", b'{"replay": {}}', {"instances": 7}, {"id": "/", "inputs": []}],
    ids=str,
)
def test_unreadable_data_are_kept_unchanged_and_logged(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], data: Any
) -> None:
    assert deliver(function, letter(data)) == 200
    assert list(cloud.documents()) == ["failed/messages/dead-letters/id-77.json"]
    document = cloud.only_document()
    assert document["input"]["message_id"] == "77"
    kept = cloud.work.blob(f"dead-letters/{document['job']}").download_as_bytes()
    assert kept == (data if isinstance(data, bytes) else b"" if data is None else kept)
    assert f"gs://{cloud.work.name}/dead-letters/{document['job']}" in document["replay"]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["severity"] for line in lines if line["message"] == "dead letter"] == ["ERROR"]
    function("on_message").post("/", **published(b'{"replay": {}}'))
    assert list(cloud.documents()) == ["failed/messages/dead-letters/id-77.json"]


@pytest.mark.parametrize(
    "body", [{"sweep": {}}, {"promote": {}}, {"promote": {"model": "m", "action": "freeze", "reason": "a sale"}}]
)
def test_an_order_is_logged_and_left_to_the_next(
    cloud: Cloud, function: Function, logged: Logged, body: dict[str, Any]
) -> None:
    assert deliver(function, letter(body)) == 200
    assert not cloud.documents()
    (line,) = [line for line in logged() if line["message"] == "dead letter"]
    assert (line["severity"], {line["reason"]: line["order"]}) == ("ERROR", body)


def test_an_object_of_another_bucket_is_not_an_input(cloud: Cloud, function: Function) -> None:
    other = cloud.output.blob("x.txt")
    other.upload_from_string(TEXT)
    assert deliver(function, letter(finalized(other)["json"])) == 200
    assert list(cloud.documents()) == ["failed/messages/dead-letters/id-77.json"]


def test_an_invalid_count_of_deliveries_is_unknown(cloud: Cloud, function: Function) -> None:
    assert deliver(function, letter(b"x", CloudPubSubDeadLetterSourceDeliveryCount="many")) == 200
    assert cloud.only_document()["error"]["deliveries"] is None


def test_another_event_type_is_ignored(cloud: Cloud, function: Function) -> None:
    assert deliver(function, finalized(cloud.upload("a.txt", TEXT))) == 200
    assert not cloud.documents()
