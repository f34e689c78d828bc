"""Requests that Cloud Storage refuses are refused with the same status and body."""

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from google.cloud import storage

UPLOAD = "/upload/storage/v1/b/bucket-1/o"
OBJECT = "/storage/v1/b/bucket-1/o/there"

LIFECYCLE = '{"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": %s}]}}'

REFUSED = [
    ("GET", "/storage/v1/b/absent", None, 404, "notFound"),
    ("GET", "/storage/v1/b/absent/o", None, 404, "notFound"),
    ("GET", "/storage/v1/b/bucket-1/o/absent", None, 404, "notFound"),
    ("GET", f"{OBJECT}?generation=1", None, 404, "notFound"),
    ("GET", f"{OBJECT}?generation=x", None, 400, "invalid"),
    ("GET", f"{OBJECT}?ifGenerationMatch=-1", None, 400, "invalid"),
    ("GET", f"{OBJECT}?ifGenerationMatch=99999999999999999999", None, 400, "invalid"),
    ("GET", f"{OBJECT}?fields=a(b", None, 400, "invalid"),
    ("GET", "/storage/v1/b/bucket-1/o/%FF", None, 400, "invalid"),
    ("GET", "/storage/v1/b/bucket-1/o?pageToken=%21%21", None, 400, "invalid"),
    ("GET", "/storage/v1/b/bucket-1/o?maxResults=many", None, 400, "invalid"),
    ("GET", "/storage/v1/b/bucket-1/o?matchGlob=%5B", None, 400, "invalid"),
    ("GET", "/storage/v1/b", None, 400, "invalid"),
    ("GET", "/storage/v1/nothing", None, 404, "notFound"),
    ("GET", f"{OBJECT}/acl", None, 501, "notImplemented"),
    ("DELETE", "/storage/v1/b/bucket-1", None, 409, "conflict"),
    ("DELETE", "/storage/v1/b/bucket-1/o/absent", None, 404, "notFound"),
    ("DELETE", f"{OBJECT}?ifGenerationMatch=1", None, 412, "conditionNotMet"),
    ("PATCH", OBJECT, "not json", 400, "parseError"),
    ("PATCH", OBJECT, "[1]", 400, "parseError"),
    ("PATCH", OBJECT, "[" * 100_000, 400, "parseError"),
    ("PATCH", OBJECT, '{"metadata": {"a": 1}}', 400, "invalid"),
    ("PATCH", OBJECT, '{"metadata": "text"}', 400, "invalid"),
    ("PATCH", OBJECT, '{"metadata": {"a": "' + "x" * 9000 + '"}}', 400, "invalid"),
    ("PATCH", OBJECT, '{"contentType": 5}', 400, "invalid"),
    ("PATCH", OBJECT, '{"contentType": "a\\r\\nb: c"}', 400, "invalid"),
    ("PATCH", OBJECT, '{"customTime": "yesterday"}', 400, "invalid"),
    ("PATCH", OBJECT, '{"temporaryHold": "yes"}', 400, "invalid"),
    ("PATCH", OBJECT, '{"metadata": {"a": "' + "x" * 1_100_000 + '"}}', 413, "uploadTooLarge"),
    ("POST", "/storage/v1/b?project=p", '{"name": "Bad_Name!"}', 400, "invalid"),
    ("POST", "/storage/v1/b?project=p", "{}", 400, "invalid"),
    ("POST", "/storage/v1/b?project=p", '{"name": "bucket-1"}', 409, "conflict"),
    ("POST", "/storage/v1/b", '{"name": "bucket-2"}', 400, "invalid"),
    ("POST", "/storage/v1/b?project=p", '{"name": "bucket-2", "storageClass": "HOT"}', 400, "invalid"),
    ("POST", "/storage/v1/b?project=p", '{"name": "bucket-2", "lifecycle": {"rule": [{}]}}', 400, "invalid"),
    ("GET", f"{OBJECT}?generation={'9' * 5000}", None, 400, "invalid"),
    ("GET", f"{OBJECT}?fields={'a(' * 5000}", None, 400, "invalid"),
    ("GET", "/storage/v1/b/bucket-1/o?pageToken=WyJcdWQ4MDAiLCAxXQ==", None, 400, "invalid"),
    ("GET", "/storage/v1/b/bucket-1/o?pageToken=WzEsIDFd", None, 400, "invalid"),
    ("PATCH", OBJECT, '{"metadata": {"a": "\\ud800"}}', 400, "invalid"),
    ("PATCH", OBJECT, '{"retention": ' + '{"a": ' * 500 + "1" + "}" * 501, 400, "invalid"),
    ("POST", "/storage/v1/b/bucket-1/o/x/compose", '{"sourceObjects": [{"name": "\\ud800"}]}', 400, "invalid"),
    ("PATCH", "/storage/v1/b/bucket-1", '{"iamConfiguration": {"uniformBucketLevelAccess": 5}}', 400, "invalid"),
    ("PATCH", "/storage/v1/b/bucket-1", '{"versioning": true}', 400, "invalid"),
    ("PATCH", "/storage/v1/b/bucket-1", '{"location": "asia"}', 400, "invalid"),
    ("PATCH", "/storage/v1/b/bucket-1", '{"lifecycle": {"rule": "x"}}', 400, "invalid"),
    ("PATCH", "/storage/v1/b/bucket-1", LIFECYCLE % '{"age": "seven"}', 400, "invalid"),
    ("PATCH", "/storage/v1/b/bucket-1", LIFECYCLE % '{"createdBefore": "soon"}', 400, "invalid"),
    ("PATCH", "/storage/v1/b/bucket-1", LIFECYCLE % '{"colour": "red"}', 400, "invalid"),
    ("POST", f"{OBJECT}/compose", '{"sourceObjects": [{"name": "a", "objectPreconditions": 5}]}', 400, "invalid"),
    ("POST", f"{OBJECT}/compose", "{}", 400, "invalid"),
    ("POST", f"{OBJECT}/compose", '{"sourceObjects": [{"name": 5}]}', 400, "invalid"),
    ("POST", f"{OBJECT}/rewriteTo/b/absent/o/x", "", 404, "notFound"),
    ("POST", "/storage/v1/b/bucket-1/notificationConfigs", '{"topic": "x"}', 400, "invalid"),
    ("POST", f"{UPLOAD}?uploadType=media", "x", 400, "invalid"),
    ("POST", f"{UPLOAD}?uploadType=wrong&name=x", "x", 400, "invalid"),
    ("POST", f"{UPLOAD}?uploadType=media&name=..", "x", 400, "invalid"),
    ("POST", f"{UPLOAD}?uploadType=media&name=a%0Ab", "x", 400, "invalid"),
    ("POST", f"{UPLOAD}?uploadType=multipart&name=x", "x", 400, "invalid"),
    ("POST", "/upload/storage/v1/b/absent/o?uploadType=media&name=x", "x", 404, "notFound"),
    ("POST", "/upload/storage/v1/b/absent/o?uploadType=resumable&name=x", "", 404, "notFound"),
    ("POST", f"{UPLOAD}?uploadType=resumable&name=there&ifGenerationMatch=0", "", 412, "conditionNotMet"),
    ("PUT", f"{UPLOAD}?upload_id=unknown", "x", 404, "notFound"),
    ("POST", "/batch/storage/v1", "x", 400, "invalid"),
    ("PUT", "/storage/v1/b/bucket-1/iam", '{"bindings": [{}]}', 400, "invalid"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "reason"), REFUSED)
def test_refusals(
    http: httpx.Client, bucket: storage.Bucket, method: str, path: str, body: str | None, status: int, reason: str
) -> None:
    bucket.blob("there").upload_from_string("x")
    answer = http.request(method, path, content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["errors"][0]["reason"]) == (status, status, reason)
    assert error["message"] == error["errors"][0]["message"]
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert "Traceback" not in answer.text


def test_the_body_of_a_failed_precondition(http: httpx.Client, bucket: storage.Bucket) -> None:
    bucket.blob("there").upload_from_string("x")
    message = "At least one of the pre-conditions you specified did not hold."
    entry = {
        "message": message,
        "domain": "global",
        "reason": "conditionNotMet",
        "locationType": "header",
        "location": "If-Match",
    }
    answer = http.delete(OBJECT, params={"ifGenerationMatch": "5"})
    assert answer.json() == {"error": {"code": 412, "message": message, "errors": [entry]}}


def test_an_upload_needs_a_length(address: str, bucket: storage.Bucket) -> None:
    with httpx.Client() as client:
        request = client.build_request("POST", f"{address}{UPLOAD}?uploadType=media&name=x")
        del request.headers["content-length"]
        assert client.send(request).status_code == 411


def test_an_upload_beyond_any_object_is_refused(address: str, bucket: storage.Bucket) -> None:
    url = urlsplit(address)
    with socket.create_connection((url.hostname, url.port)) as raw:
        head = f"POST {UPLOAD}?uploadType=media&name=x HTTP/1.1\r\nHost: x\r\nContent-Length: {(5 << 40) + 1}\r\n\r\n"
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_failed_download_has_a_plain_text_body(http: httpx.Client, bucket: storage.Bucket) -> None:
    answer = http.get("/download/storage/v1/b/bucket-1/o/absent?alt=media")
    assert (answer.status_code, answer.text) == (404, "No such object: bucket-1/absent")
    bucket.blob("there").upload_from_string("12345")
    beyond = http.get(f"{OBJECT}?alt=media", headers={"range": "bytes=5-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */5")
    not_modified = http.get(OBJECT, headers={"if-none-match": http.get(OBJECT).headers["etag"]})
    assert (not_modified.status_code, not_modified.content) == (304, b"")


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper",
        "-dash",
        "dash-",
        "a..b",
        "a.-b",
        "192.168.5.4",
        "goog-x",
        "my-google-x",
        "g00gle",
        "a b",
        "ü-bucket",
    ],
)
def test_bucket_names(http: httpx.Client, name: str) -> None:
    assert http.post("/storage/v1/b?project=p", content=json.dumps({"name": name})).status_code == 400


def test_the_api_answers_without_its_prefix(http: httpx.Client, bucket: storage.Bucket) -> None:
    bucket.blob("a/b").upload_from_string("x")
    assert http.get("/b/bucket-1/o/a%2Fb").json()["name"] == "a/b"
    assert http.get("/b/bucket-1/o/a%2Fb?alt=media").text == "x"
    assert http.get("/b/bucket-1/o?fields=items/name").json() == {"items": [{"name": "a/b"}]}
    meant = {"x-http-method-override": "PATCH"}
    assert http.post("/b/bucket-1/o/a%2Fb", json={"contentType": "a/b"}, headers=meant).json()["contentType"] == "a/b"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1"])
def test_a_document_type_is_refused_in_every_encoding(
    bucket: storage.Bucket, http: httpx.Client, encoding: str
) -> None:
    upload = http.post("/bucket-1/parts?uploads").text.split("<UploadId>")[1].split("<")[0]
    entities = "<!DOCTYPE a [<!ENTITY b '1'>]><a><Part><PartNumber>&b;</PartNumber><ETag>x</ETag></Part></a>"
    declared = "" if "-le" in encoding or "-be" in encoding else f"<?xml version='1.0' encoding='{encoding}'?>"
    response = http.post(f"/bucket-1/parts?uploadId={upload}", content=(declared + entities).encode(encoding))
    assert response.status_code == 400
    assert "<Code>MalformedXML</Code><Message>The XML you provided may not have a document type." in response.text


@pytest.mark.parametrize("encoding", ["no-such-encoding", "utf-7"])
def test_an_unknown_encoding_of_xml_is_refused(bucket: storage.Bucket, http: httpx.Client, encoding: str) -> None:
    upload = http.post("/bucket-1/parts?uploads").text.split("<UploadId>")[1].split("<")[0]
    content = f"<?xml version='1.0' encoding='{encoding}'?><a/>"
    response = http.post(f"/bucket-1/parts?uploadId={upload}", content=content)
    assert (response.status_code, "MalformedXML" in response.text) == (400, True)
