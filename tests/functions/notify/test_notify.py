"""notify, served by functions-framework, with the notifications of real documents and real receivers."""

import base64
import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import pytest
from flask.testing import FlaskClient
from google.cloud import storage

from tests.functions.cloud import Cloud, Fault
from tests.functions.conftest import Function, Logged, finalized, published
from tests.functions.notify.receiver import SECRET, Receiver, receiving, status

RETRIES = "projects/p/topics/notification-retries"
TOPIC = "projects/my-project/topics/inference-notifications"

Configure = Callable[..., FlaskClient]


@pytest.fixture
def configure(cloud: Cloud, function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Serves notify with these endpoints; a receiver stands for a webhook of its own name."""
    monkeypatch.setenv("NOTIFICATION_RETRIES_TOPIC", RETRIES)
    monkeypatch.setenv("NOTIFICATIONS_ALLOW_LOOPBACK", "1")

    def serve(**endpoints: Receiver | dict[str, Any]) -> FlaskClient:
        entries = [
            {"name": name} | ({"url": each.url, "secrets": [SECRET]} if isinstance(each, Receiver) else each)
            for name, each in endpoints.items()
        ]
        file = tmp_path / "endpoints.yaml"
        file.write_text(json.dumps({"endpoints": entries}))
        monkeypatch.setenv("NOTIFICATIONS", str(file))
        return function("notify")

    return serve


@pytest.fixture
def rejected(cloud: Cloud, function: Function) -> storage.Blob:
    """A document that on_upload has written: that of an empty upload."""
    blob = cloud.upload("orders/empty.txt", "")
    function("on_upload").post("/", **finalized(blob))
    document = cloud.output.get_blob(f"rejected/orders/empty.txt/{blob.generation}.json")
    assert document
    return document


def announced(blob: storage.Blob, message_id: str = "1", **changes: str) -> dict[str, Any]:
    """Cloud Storage's notification of an object, as a request to the function."""
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": blob.bucket.name,
        "objectId": blob.name,
        "objectGeneration": str(blob.generation),
    }
    return published(json.dumps(finalized(blob)["json"]).encode(), message_id, attributes | changes)


def again(retry: dict[str, Any], message_id: str = "2", **changes: Any) -> dict[str, Any]:
    return published(json.dumps(retry | changes).encode(), message_id)


def undelivered(cloud: Cloud) -> dict[str, Any]:
    listed = cloud.client.list_blobs(cloud.output, prefix="undelivered/")
    return {blob.name.removeprefix("undelivered/"): json.loads(blob.download_as_bytes()) for blob in listed}


def test_a_document_is_announced_with_a_verifiable_signature(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob, logged: Logged
) -> None:
    notify = configure(crm=receiver)
    logged()
    assert notify.post("/", **announced(rejected)).status_code == 200
    (body,) = receiver.verified()
    job = rejected.metadata["pipeline-job"]
    assert body == {
        "type": "document.rejected",
        "timestamp": body["timestamp"],
        "data": {
            "job": job,
            "status": "rejected",
            "kind": None,
            "document": f"gs://{cloud.output.name}/{rejected.name}",
            "generation": str(rejected.generation),
        },
    }
    assert datetime.fromisoformat(body["timestamp"]) == rejected.time_created
    assert receiver.ids == [f"{job}.{rejected.generation}"]
    assert cloud.executions.published == []
    *_, closing = logged()
    assert (closing["message"], closing["delivered"], closing["job"]) == ("accepted", 1, job)


def test_a_repeated_event_has_the_same_id(configure: Configure, receiver: Receiver, rejected: storage.Blob) -> None:
    notify = configure(crm=receiver)
    for message_id in ("1", "2", "3"):
        assert notify.post("/", **announced(rejected, message_id)).status_code == 200
    assert len(set(receiver.ids)) == 1
    assert len({body for _, body in receiver.requests}) == 1


def test_kind_and_status_of_every_outcome_are_known(
    cloud: Cloud, function: Function, configure: Configure, receiver: Receiver
) -> None:
    blob = cloud.upload("a.txt", "What a wonderful film.")
    function("on_upload").post("/", **finalized(blob))
    (argument,) = cloud.executions.arguments
    good = {"predictions": [{"label": "POSITIVE", "score": 0.9}], "model": {"name": "m"}}
    body = {"argument": argument, "lineage": {"execution": "e"}, "prediction": good}
    function("postprocess").post("/", json=body)
    notify = configure(crm=receiver)
    for name in cloud.documents("results", "latest"):
        notify.post("/", **announced(cloud.output.get_blob(name)))
    (told,) = receiver.verified()  # latest/ is a copy, not a document
    assert (told["type"], told["data"]["kind"]) == ("document.succeeded", "text")


def test_a_document_that_was_deleted_meanwhile_is_announced_too(
    configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    request = announced(rejected)
    rejected.delete()
    assert configure(crm=receiver).post("/", **request).status_code == 200
    assert len(receiver.verified()) == 1


def test_without_configuration_nothing_happens(function: Function, rejected: storage.Blob, logged: Logged) -> None:
    logged()
    assert function("notify").post("/", **announced(rejected)).status_code == 200
    (line,) = logged()
    assert (line["message"], line["reason"]) == ("ignored", "no notifications are configured")


def test_filters_decide_who_is_told(cloud: Cloud, configure: Configure, rejected: storage.Blob) -> None:
    with ExitStack() as stack:
        names = ("all", "failures", "rejections", "orders", "others")
        receivers = {name: stack.enter_context(receiving()) for name in names}
        filters = {
            "failures": {"status": "failed"},
            "rejections": {"status": "rejected"},
            "orders": {"prefix": "orders/"},
            "others": {"prefix": "other/"},
        }
        endpoints = {
            name: {"url": each.url, "secrets": [SECRET], **filters.get(name, {})} for name, each in receivers.items()
        }
        configure(**endpoints).post("/", **announced(rejected))
        assert {name for name, each in receivers.items() if each.requests} == {"all", "rejections", "orders"}


def test_a_topic_gets_the_same_body(cloud: Cloud, configure: Configure, rejected: storage.Blob) -> None:
    assert configure(warehouse={"topic": TOPIC}).post("/", **announced(rejected)).status_code == 200
    ((topic, body),) = cloud.executions.published
    assert topic == TOPIC
    assert body["type"] == "document.rejected"
    (attributes,) = cloud.executions.attributes
    assert attributes["webhook-id"] == f"{rejected.metadata['pipeline-job']}.{rejected.generation}"
    assert attributes["type"] == "document.rejected"


@pytest.mark.parametrize(
    "object_name",
    ["results/a.txt/1.csv", "latest/a.txt.json", "labels/x.json", "failed/x.json", "undelivered/c/1.json"],
)
def test_other_objects_of_the_bucket_are_no_documents(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob, object_name: str
) -> None:
    blob = cloud.output.copy_blob(rejected, cloud.output, object_name)
    blob.reload()
    notify = configure(crm=receiver)
    assert notify.post("/", **announced(blob)).status_code == 200
    assert notify.post("/", **announced(rejected, eventType="OBJECT_DELETE")).status_code == 200
    assert receiver.requests == []


@pytest.mark.parametrize("metadata", [{}, {"pipeline-job": "x", "pipeline-status": "rejected"}])
def test_what_others_put_into_the_bucket_is_not_announced(
    cloud: Cloud, configure: Configure, receiver: Receiver, metadata: dict[str, str]
) -> None:
    blob = cloud.output.blob("rejected/own.txt/1.json")
    blob.metadata = metadata
    blob.upload_from_string("{}")
    assert configure(crm=receiver).post("/", **announced(blob)).status_code == 200
    assert receiver.requests == []


def test_an_object_of_another_bucket_is_ignored(cloud: Cloud, configure: Configure, receiver: Receiver) -> None:
    blob = cloud.upload("rejected/a.json", "{}")
    assert configure(crm=receiver).post("/", **announced(blob)).status_code == 200
    assert receiver.requests == []


@pytest.mark.parametrize("data", [None, b"", b"no JSON", b"[]", b'{"bucket": 7}', "no base64"])
@pytest.mark.parametrize("attributes", [{}, {"eventType": "OBJECT_FINALIZE", "bucketId": "b"}])
def test_a_message_of_another_form_is_ignored(
    configure: Configure, receiver: Receiver, data: bytes | str | None, attributes: dict[str, str]
) -> None:
    assert configure(crm=receiver).post("/", **published(data, "1", attributes)).status_code == 200
    assert receiver.requests == []


def test_one_broken_endpoint_neither_delays_the_others_nor_repeats_them(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    arrivals: list[float] = []
    first = threading.Event()

    def slow_failure(handler: BaseHTTPRequestHandler) -> None:
        first.wait(10)  # until the others have got theirs
        status(500)(handler)

    def good(handler: BaseHTTPRequestHandler) -> None:
        arrivals.append(time.monotonic())
        if len(arrivals) == 2:
            first.set()
        status(204)(handler)

    receiver.answer = slow_failure
    with receiving() as one, receiving() as other:
        one.answer = other.answer = good
        notify = configure(broken=receiver, one=one, other=other)
        assert notify.post("/", **announced(rejected)).status_code == 200
        assert first.is_set()
        ((topic, retry),) = cloud.executions.published
        assert (topic, retry["endpoint"]) == (RETRIES, "broken")
        assert notify.post("/", **again(retry)).status_code == 503
        receiver.answer = status(204)
        assert notify.post("/", **again(retry)).status_code == 200
        assert (len(one.requests), len(other.requests)) == (1, 1)
    assert len(set(receiver.ids)) == 1


def test_what_an_endpoint_did_not_take_is_tried_again_until_it_does(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    notify = configure(crm=receiver)
    receiver.answer = status(500)
    assert notify.post("/", **announced(rejected)).status_code == 200
    ((_, retry),) = cloud.executions.published
    assert notify.post("/", **again(retry)).status_code == 503
    receiver.answer = status(200)
    assert notify.post("/", **again(retry)).status_code == 200
    assert len(receiver.verified()) == 3
    assert len(set(receiver.ids)) == 1
    assert len({body for _, body in receiver.requests}) == 1
    assert undelivered(cloud) == {}


def test_after_three_days_it_is_kept_and_sent_again_on_request(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    notify = configure(crm=receiver)
    receiver.answer = status(500)
    notify.post("/", **announced(rejected))
    ((_, retry),) = cloud.executions.published
    since = (datetime.now(UTC) - timedelta(days=3, minutes=1)).isoformat()
    for message_id in ("8", "9"):
        assert notify.post("/", **again(retry, message_id, since=since)).status_code == 200
    ((name, record),) = undelivered(cloud).items()
    assert name == f"crm/{retry['id']}.json"
    assert record == {
        "schema": "undelivered/v1",
        "endpoint": "crm",
        "id": retry["id"],
        "body": retry["body"],
        "error": {"code": "http_500", "message": "The receiver answered 500."},
        "first_attempt_at": since,
        "given_up_at": record["given_up_at"],
    }
    receiver.answer = status(200)
    resent = {"endpoint": record["endpoint"], "id": record["id"], "body": record["body"], "since": since}
    assert notify.post("/", **again(resent, "10")).status_code == 200
    assert len(set(receiver.ids)) == 1
    receiver.requests[:-1] = []
    assert json.loads(record["body"]) == receiver.verified()[0]


def test_410_is_kept_without_another_attempt(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    receiver.answer = status(410)
    assert configure(crm=receiver).post("/", **announced(rejected)).status_code == 200
    (record,) = undelivered(cloud).values()
    assert record["error"]["code"] == "gone"
    assert cloud.executions.published == []
    assert len(receiver.requests) == 1


def test_an_endpoint_that_was_removed_keeps_its_notifications(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    receiver.answer = status(500)
    configure(crm=receiver).post("/", **announced(rejected))
    ((_, retry),) = cloud.executions.published
    assert configure().post("/", **again(retry)).status_code == 200
    (record,) = undelivered(cloud).values()
    assert record["error"]["code"] == "endpoint_removed"


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "../../results"},
        {"endpoint": None},
        {"id": "7"},
        {"id": None},
        {"id": "../x"},
        {"body": "{}"},
        {"body": None},
        {"body": "no JSON"},
        {"since": "yesterday"},
    ],
)
def test_a_retry_of_another_form_is_ignored(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob, changes: dict[str, Any]
) -> None:
    receiver.answer = status(500)
    notify = configure(crm=receiver)
    notify.post("/", **announced(rejected))
    ((_, retry),) = cloud.executions.published
    assert notify.post("/", **again(retry, **changes)).status_code == 200
    assert len(receiver.requests) == 1
    assert undelivered(cloud) == {}


def test_an_endpoint_that_keeps_failing_is_left_alone(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    receiver.answer = status(500)
    notify = configure(crm=receiver)
    for number in range(6):
        assert notify.post("/", **announced(rejected, str(number))).status_code == 200
    assert len(receiver.requests) == 3
    assert [retry["endpoint"] for _, retry in cloud.executions.published] == ["crm"] * 6
    assert notify.post("/", **again(cloud.executions.published[0][1])).status_code == 503
    assert len(receiver.requests) == 3


def test_retry_after_is_obeyed(cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob) -> None:
    receiver.answer = status(429, Retry_After="60")
    notify = configure(crm=receiver)
    for number in range(2):
        assert notify.post("/", **announced(rejected, str(number))).status_code == 200
    assert len(receiver.requests) == 1
    assert len(cloud.executions.published) == 2


def test_if_a_retry_cannot_be_published_the_event_is_delivered_again(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    receiver.answer = status(500)
    notify = configure(crm=receiver)
    cloud.executions.publish_refusals.append(grpc.StatusCode.PERMISSION_DENIED)
    assert notify.post("/", **announced(rejected)).status_code == 503
    assert notify.post("/", **announced(rejected)).status_code == 200
    assert len(cloud.executions.published) == 1


def test_if_what_was_given_up_cannot_be_kept_the_event_is_delivered_again(
    cloud: Cloud, configure: Configure, receiver: Receiver, rejected: storage.Blob
) -> None:
    receiver.answer = status(410)
    notify = configure(crm=receiver)
    cloud.faulty.faults.append(Fault(lambda method, path: "undelivered/" in path, status=403))
    assert notify.post("/", **announced(rejected)).status_code == 503
    assert undelivered(cloud) == {}
    assert notify.post("/", **announced(rejected)).status_code == 200
    assert len(undelivered(cloud)) == 1


def test_a_topic_that_does_not_take_messages_is_tried_again(
    cloud: Cloud, configure: Configure, rejected: storage.Blob
) -> None:
    cloud.executions.publish_refusals.append(grpc.StatusCode.NOT_FOUND)
    assert configure(warehouse={"topic": TOPIC}).post("/", **announced(rejected)).status_code == 200
    ((topic, retry),) = cloud.executions.published
    assert (topic, retry["endpoint"]) == (RETRIES, "warehouse")


def test_a_file_that_cannot_be_read_keeps_events_waiting(
    configure: Configure, rejected: storage.Blob, logged: Logged
) -> None:
    notify = configure(crm={"url": "https://hooks.example.com/", "secrets": ["whsec_short"]})
    logged()
    assert notify.post("/", **announced(rejected)).status_code == 500
    (line,) = logged()
    assert (line["code"], "crm needs 1 to 4 secrets" in line["reason"]) == ("misconfigured", True)
    assert "whsec_short" not in json.dumps(line)


def test_logs_hold_neither_bodies_nor_secrets_nor_urls(
    configure: Configure, receiver: Receiver, rejected: storage.Blob, logged: Logged
) -> None:
    notify = configure(crm=receiver)
    logged()
    notify.post("/", **announced(rejected))
    receiver.answer = status(500)
    notify.post("/", **announced(rejected))
    text = json.dumps(logged())
    for hidden in ("127.0.0.1", SECRET, "hook?from", base64.b64encode(b'{"type"').decode()[:8], "document.rejected"):
        assert hidden not in text
