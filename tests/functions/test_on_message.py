"""on_message, served by functions-framework: notifications, inline instances, manifests, sweeps, and bad messages."""

import base64
import io
import json
from typing import Any

import pytest
from google.cloud import storage
from PIL import Image

from pipeline.jobs.job import of_message, of_object
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function, event, finalized, published

pytestmark = pytest.mark.usefixtures("check_documents")
TEXT = "What a wonderful film, I loved it."


def sent(function: Function, body: Any, message_id: str = "1001", attributes: dict[str, str] | None = None) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return function("on_message").post("/", **published(data, message_id, attributes)).status_code


def png(size: tuple[int, int] = (8, 8)) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def notification(blob: storage.Blob, event_type: str = "OBJECT_FINALIZE", **more: str) -> dict[str, str]:
    return {
        "eventType": event_type,
        "payloadFormat": "JSON_API_V1",
        "bucketId": blob.bucket.name,
        "objectId": blob.name,
        "objectGeneration": str(blob.generation),
    } | more


# --- notifications ---------------------------------------------------------------------------------


def test_a_notification_starts_the_object_s_own_job(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert sent(function, finalized(blob)["json"], attributes=notification(blob)) == 200
    (argument,) = cloud.executions.arguments
    assert argument["job"] == of_object(blob.bucket.name, "a.txt", blob.generation)
    assert argument["document"] == f"a.txt/{blob.generation}"


def test_a_notification_without_payload_names_the_object_in_its_attributes(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT, metadata={"top_k": "2"})
    message = published(None, attributes=notification(blob, payloadFormat="NONE"))
    assert function("on_message").post("/", **message).status_code == 200
    assert cloud.executions.arguments[0]["parameters"] == {"top_k": 2}


@pytest.mark.parametrize("event_type", ["OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"])
def test_only_finalize_starts_work(cloud: Cloud, function: Function, event_type: str) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert sent(function, finalized(blob)["json"], attributes=notification(blob, event_type)) == 200
    assert not cloud.executions.created
    assert not cloud.documents()


def test_a_notification_of_another_bucket_is_rejected(cloud: Cloud, function: Function) -> None:
    other = cloud.output.blob("x.txt")
    other.upload_from_string(TEXT)
    assert sent(function, finalized(other)["json"], attributes=notification(other)) == 200
    assert cloud.only_document()["reason"]["code"] == "foreign_bucket"


def test_a_notification_of_the_pipeline_s_own_output_is_ignored(cloud: Cloud, function: Function) -> None:
    blob = cloud.output.blob("x.json")
    blob.metadata = {"pipeline-job": "0" * 32}
    blob.upload_from_string("{}")
    assert sent(function, finalized(blob)["json"], attributes=notification(blob)) == 200
    assert not cloud.documents()


def test_the_recorded_notification_is_read(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPUT_BUCKET", "example-input")  # where its object is long gone
    recorded = event("message_with_notification")
    answer = function("on_message").post("/", headers=recorded["headers"], json=recorded["body"])
    assert answer.status_code == 200
    assert list(cloud.documents()) == ["rejected/incoming/reviews/great.txt/1763720400123456.json"]
    assert cloud.only_document()["reason"]["code"] == "input_gone"


# --- inline instances ------------------------------------------------------------------------------


def test_inline_texts_are_staged_and_started(cloud: Cloud, function: Function) -> None:
    instances = [{"text": "A delight."}, {"text": "Dull. \u00fc"}]
    body = {"instances": instances, "model": "sentiment", "version": "2", "parameters": {"top_k": 2}}
    assert sent(function, body) == 200
    (argument,) = cloud.executions.arguments
    job = of_message("messages", "1001")
    assert argument["job"] == job
    assert argument["document"] == "messages/messages/id-1001"
    assert argument["kind"] == "text"
    reasons = {"chosen_by": "requested", "version_by": "requested"}
    assert argument["model"] == {"name": "sentiment", "version": "2", **reasons}
    assert argument["parameters"] == {"top_k": 2}
    staged = cloud.work.get_blob(f"messages/{job}.json")
    assert json.loads(staged.download_as_bytes())["instances"] == instances
    assert argument["input"] == {
        "bucket": cloud.work.name,
        "name": staged.name,
        "generation": str(staged.generation),
        "size": staged.size,
        "content_type": "application/json",
    }


def test_pairs_of_texts_are_instances_too(cloud: Cloud, function: Function) -> None:
    instances = [{"text": "How tall is it?", "text_pair": "It has a height of 300 m."}, {"text": "A delight."}]
    assert sent(function, {"instances": instances, "model": "sentiment"}) == 200
    (argument,) = cloud.executions.arguments
    assert (argument["kind"], argument["prepared"]["instances"]) == ("text", instances)
    staged = cloud.work.get_blob(f"messages/{argument['job']}.json")
    assert json.loads(staged.download_as_bytes())["instances"] == instances


def test_inline_images_are_recognised(cloud: Cloud, function: Function) -> None:
    assert sent(function, {"instances": [{"image": {"b64": png()}}]}) == 200
    assert cloud.executions.arguments[0]["kind"] == "image"


def test_a_redelivered_message_starts_no_further_execution(cloud: Cloud, function: Function) -> None:
    for _ in range(3):
        assert sent(function, {"instances": [{"text": TEXT}]}) == 200
    assert len(cloud.executions.created) == 1
    assert sent(function, {"instances": [{"text": TEXT}]}, message_id="1002") == 200
    assert len(cloud.executions.created) == 2


def test_a_redelivery_finishes_an_interrupted_message(cloud: Cloud, function: Function) -> None:
    import grpc

    cloud.executions.refusals = [grpc.StatusCode.UNAVAILABLE]
    assert sent(function, {"instances": [{"text": TEXT}]}) == 503
    assert sent(function, {"instances": [{"text": TEXT}]}) == 200
    staged = cloud.work.get_blob(f"messages/{of_message('messages', '1001')}.json")
    assert cloud.executions.arguments[0]["input"]["generation"] == str(staged.generation)


def test_the_raw_push_form_works_through_the_framework_s_conversion(cloud: Cloud, function: Function) -> None:
    recorded = event("push_unwrapped_by_framework")
    path = "/projects/p/topics/raw"
    answer = function("on_message").post(path, headers=recorded["headers"], json=recorded["body"])
    assert answer.status_code == 200
    assert cloud.executions.arguments[0]["document"] == "messages/raw/id-13091372513219001"
    answer = function("on_message").post("/", headers=recorded["headers"], json=recorded["body"])
    assert answer.status_code == 200
    assert cloud.executions.arguments[1]["document"] == "messages/unknown/id-13091372513219001"


def test_an_event_with_delivery_attempts_is_read(cloud: Cloud, function: Function) -> None:
    recorded = event("message_published_with_dead_letter")
    answer = function("on_message").post("/", headers=recorded["headers"], json=recorded["body"])
    assert answer.status_code == 200
    assert cloud.executions.arguments[0]["document"] == "messages/messages/id-13091372513218999"


# --- bad messages ----------------------------------------------------------------------------------

IMAGE = {"image": {"b64": png()}}
BAD = {
    "empty data": (b"", "empty_message"),
    "not base64": ("***", "invalid_base64"),
    "not even ASCII": ("é", "invalid_base64"),
    "base64 without padding": ("abc", "invalid_base64"),
    "not UTF-8": (b"\xff\xfe\x00", "invalid_json"),
    "not JSON": (b"hello", "invalid_json"),
    "NaN": (b'{"instances": [NaN]}', "invalid_json"),
    "endless digits": (b'{"sweep": ' + b"9" * 5000 + b"}", "invalid_json"),
    "deep nesting": (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json"),
    "a list": (b"[1]", "unknown_message"),
    "a string": (b'"hello"', "unknown_message"),
    "null": (b"null", "unknown_message"),
    "an empty object": (b"{}", "unknown_message"),
    "another shape": (b'{"text": "hello"}', "unknown_message"),
    "id without inputs": (b'{"id": "a"}', "unknown_message"),
    "no instances": ({"instances": []}, "invalid_instances"),
    "instances are no list": ({"instances": {"text": "a"}}, "invalid_instances"),
    "an instance is no object": ({"instances": ["a"]}, "invalid_instances"),
    "an unknown instance": ({"instances": [{"audio": "a"}]}, "invalid_instances"),
    "text and image in one": ({"instances": [{"text": "a"} | IMAGE]}, "invalid_instances"),
    "a text that is a number": ({"instances": [{"text": 7}]}, "invalid_instances"),
    "a blank text": ({"instances": [{"text": "a"}, {"text": " \n"}]}, "invalid_instances"),
    "a second text that is a number": ({"instances": [{"text": "a", "text_pair": 7}]}, "invalid_instances"),
    "a blank second text": ({"instances": [{"text": "a", "text_pair": " "}]}, "invalid_instances"),
    "a second text alone": ({"instances": [{"text_pair": "a"}]}, "invalid_instances"),
    "a second text of an image": ({"instances": [IMAGE | {"text_pair": "a"}]}, "invalid_instances"),
    "a pair and more": ({"instances": [{"text": "a", "text_pair": "b", "id": 1}]}, "invalid_instances"),
    "half a surrogate pair": (b'{"instances": [{"text": "\\ud800"}]}', "invalid_json"),
    "an empty image": ({"instances": [{"image": {"b64": ""}}]}, "invalid_instances"),
    "an image by reference": ({"instances": [{"image": {"url": "http://a"}}]}, "invalid_instances"),
    "an image that is no base64": ({"instances": [{"image": {"b64": "!!"}}]}, "invalid_base64"),
    "an invalid image": ({"instances": [{"image": {"b64": "aGVsbG8="}}]}, "unknown_kind"),
    "mixed": ({"instances": [{"text": "a"}, IMAGE]}, "mixed_instances"),
    "too many": ({"instances": [{"text": "a"}] * 129}, "too_many_instances"),
    "an unknown key": ({"instances": [{"text": "a"}], "callback": "http://a"}, "invalid_parameters"),
    "parameters are a list": ({"instances": [{"text": "a"}], "parameters": []}, "invalid_parameters"),
    "an unknown parameter": ({"instances": [{"text": "a"}], "parameters": {"speed": 9}}, "invalid_parameters"),
    "a model that is a number": ({"instances": [{"text": "a"}], "model": 7}, "invalid_parameters"),
    "a sweep that is a string": ({"sweep": "all"}, "invalid_parameters"),
    "a sweep without limit": ({"sweep": {"limit": 0}}, "invalid_parameters"),
    "a sweep of everything": ({"sweep": {"limit": True}}, "invalid_parameters"),
    "a sweep with more": ({"sweep": {"bucket": "x"}}, "invalid_parameters"),
    "a sweep and more": ({"sweep": {}, "bucket": "x"}, "unknown_message"),
    "a bad manifest": ({"id": "a/b", "inputs": ["gs://a/b"]}, "invalid_manifest"),
    "oversize": (b'{"instances": [{"text": "' + b"a" * (8 << 20) + b'"}]}', "too_large"),
}


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD.keys())
def test_a_bad_message_is_rejected_and_acknowledged(cloud: Cloud, function: Function, data: Any, code: str) -> None:
    client = function("on_message")
    encoded = json.dumps(data).encode() if isinstance(data, dict) else data
    for _ in range(2):
        assert client.post("/", **published(encoded)).status_code == 200
    assert list(cloud.documents()) == ["rejected/messages/messages/id-1001.json"]
    document = cloud.only_document()
    assert document["reason"]["code"] == code
    assert document["input"]["message_id"] == "1001"
    assert not cloud.executions.created
    assert not cloud.documents("latest")


def test_a_message_without_data_is_rejected(cloud: Cloud, function: Function) -> None:
    assert function("on_message").post("/", **published(None)).status_code == 200
    assert cloud.only_document()["reason"]["code"] == "empty_message"


def test_a_broken_notification_is_rejected(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert sent(function, {"bucket": blob.bucket.name}, attributes=notification(blob)) == 200
    assert cloud.only_document()["reason"]["code"] == "unknown_message"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": None},
        {"message": []},
        {"message": {"data": "e30="}},
        {"message": {"data": "e30=", "messageId": 7}},
        {"message": {"data": "e30=", "messageId": "a/b"}},
        {"message": {"data": "e30=", "messageId": "1", "attributes": ["a"]}},
        [],
        None,
    ],
    ids=str,
)
def test_an_event_without_a_message_is_refused(cloud: Cloud, function: Function, body: Any) -> None:
    answer = function("on_message").post("/", headers=event("message_published")["headers"], data=json.dumps(body))
    assert answer.status_code == 400
    assert answer.json is not None
    assert "error" in answer.json
    assert not cloud.executions.created


def test_another_event_type_is_ignored(cloud: Cloud, function: Function) -> None:
    blob = cloud.upload("a.txt", TEXT)
    assert function("on_message").post("/", **finalized(blob)).status_code == 200
    assert not cloud.executions.created
    assert not cloud.documents()


def test_no_object_shares_a_document_with_a_message_or_a_manifest(cloud: Cloud, function: Function) -> None:
    for name in ("messages/messages", "manifests"):
        blob = cloud.upload(name, TEXT)
        assert function("on_upload").post("/", **finalized(blob)).status_code == 200
        number = str(blob.generation)
        data: dict[str, Any] = {"instances": [{"text": TEXT}]}
        if name == "manifests":
            data = {"id": number, "inputs": [f"gs://{cloud.input.name}/{name}"]}
        assert function("on_message").post("/", **published(json.dumps(data).encode(), number)).status_code == 200
    documents = [argument["document"] for argument in cloud.executions.arguments]
    assert len(documents) == len(set(documents)) == 4
