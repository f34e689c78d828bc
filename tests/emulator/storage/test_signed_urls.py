"""Requests of the XML API, as signed URLs make them."""

import base64
import datetime

import httpx
import pytest
from google.auth import credentials as ga_credentials
from google.cloud import storage

from emulator.storage import Store


class Signer(ga_credentials.AnonymousCredentials, ga_credentials.Signing):
    """Credentials that sign with constant bytes, since the emulator does not check signatures."""

    signer = None
    signer_email = "tester@example.com"

    def sign_bytes(self, message: bytes) -> bytes:
        return b"signature"


def sign(bucket: storage.Bucket, name: str, address: str, method: str, version: str, **options: object) -> str:
    return bucket.blob(name).generate_signed_url(
        version=version, method=method, api_access_endpoint=address, credentials=Signer(), **options
    )


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_put_get_and_delete(http: httpx.Client, bucket: storage.Bucket, address: str, version: str) -> None:
    hour = datetime.timedelta(hours=1)
    name = "folder/ü #1.txt"
    headers = {"content-type": "text/plain", "x-goog-meta-color": "red", "cache-control": "no-store"}
    put = http.put(sign(bucket, name, address, "PUT", version, expiration=hour), content=b"abc", headers=headers)
    assert (put.status_code, put.headers["etag"]) == (200, '"900150983cd24fb0d6963f7d28e17f72"')
    stored = bucket.get_blob(name)
    assert (stored.content_type, stored.metadata, stored.generation) == (
        "text/plain", {"color": "red"}, int(put.headers["x-goog-generation"]),
    )  # fmt: skip
    got = http.get(
        sign(bucket, name, address, "GET", version, expiration=hour, response_disposition="attachment"),
        headers={"range": "bytes=1-"},
    )
    assert (got.status_code, got.content) == (206, b"bc")
    assert (got.headers["x-goog-meta-color"], got.headers["content-disposition"]) == ("red", "attachment")
    assert http.delete(sign(bucket, name, address, "DELETE", version, expiration=hour)).status_code == 204
    missing = http.get(sign(bucket, name, address, "GET", version, expiration=hour))
    assert (missing.status_code, "<Code>NoSuchKey</Code>" in missing.text) == (404, True)


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_an_expired_url_is_refused(
    http: httpx.Client, bucket: storage.Bucket, address: str, store: Store, version: str
) -> None:
    bucket.blob("x").upload_from_string("x")
    url = sign(bucket, "x", address, "GET", version, expiration=datetime.timedelta(minutes=5))
    assert http.get(url).status_code == 200
    now = store.clock()
    store.clock = lambda: now + datetime.timedelta(minutes=6)
    late = http.get(url)
    assert (late.status_code, "<Code>ExpiredToken</Code>" in late.text) == (400, True)


def test_an_incomplete_signature_is_refused(http: httpx.Client, bucket: storage.Bucket, address: str) -> None:
    bucket.blob("x").upload_from_string("x")
    url = sign(bucket, "x", address, "GET", "v4", expiration=60)
    assert http.get(url.partition("&X-Goog-Signature")[0]).status_code == 400
    assert http.get(url.replace("X-Goog-Expires=60", "X-Goog-Expires=604801")).status_code == 400
    assert http.get(url.partition("X-Goog-Signature=")[0] + "X-Goog-Signature=nothex").status_code == 403
    assert http.get(url).status_code == 200


def test_a_signed_resumable_upload(http: httpx.Client, bucket: storage.Bucket, address: str) -> None:
    url = bucket.blob("big").create_resumable_upload_session(content_type="text/plain", size=3)
    assert http.put(url, content=b"abc").status_code == 200
    signed = sign(bucket, "signed/ü", address, "RESUMABLE", "v4", expiration=60)
    started = http.post(signed, headers={"x-goog-resumable": "start", "content-type": "text/x"})
    assert started.status_code == 201
    assert http.put(started.headers["location"], content=b"abc").status_code == 200
    assert bucket.get_blob("signed/ü").content_type == "text/x"


def test_conditions_and_checksums_in_headers(http: httpx.Client, bucket: storage.Bucket) -> None:
    once = {"x-goog-if-generation-match": "0"}
    assert http.put("/bucket-1/once", content=b"a", headers=once).status_code == 200
    again = http.put("/bucket-1/once", content=b"b", headers=once)
    assert (again.status_code, "<Code>PreconditionFailed</Code>" in again.text) == (412, True)
    wrong = http.put("/bucket-1/x", content=b"a", headers={"content-md5": base64.b64encode(b"0" * 16).decode()})
    assert (wrong.status_code, "<Code>BadDigest</Code>" in wrong.text) == (400, True)
    assert http.head("/bucket-1/once").headers["content-length"] == "1"
    assert http.head("/bucket-1").status_code == 200
    assert http.get("/absent-bucket/x").status_code == 404


def test_missing_parts_are_refused(http: httpx.Client, bucket: storage.Bucket) -> None:
    started = http.post("/bucket-1/parts?uploads")
    upload = started.text.partition("<UploadId>")[2].partition("<")[0]
    etag = http.put(f"/bucket-1/parts?partNumber=1&uploadId={upload}", content=b"one").headers["etag"]
    part = "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>".format
    finish = f"/bucket-1/parts?uploadId={upload}"
    for parts in (part(2, etag), part(1, "wrong"), "", part(1, etag) * 2, "<broken"):
        content = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        assert http.post(finish, content=content).status_code == 400
    assert etag.strip('"') in http.get(finish).text
    done = http.post(finish, content=f"<CompleteMultipartUpload>{part(1, etag)}</CompleteMultipartUpload>")
    assert done.status_code == 200
    assert bucket.blob("parts").download_as_bytes() == b"one"
    assert http.delete(finish).status_code == 404


ENTITY = '<?xml version="1.0"%s?><!DOCTYPE a [<!ENTITY e "1">]><a><Part><PartNumber>&e;</PartNumber></Part></a>'


@pytest.mark.parametrize(
    "content",
    [
        (ENTITY % "").encode(),
        (ENTITY % ' encoding="UTF-16"').encode("utf-16"),
        (ENTITY % ' encoding="UTF-16"').encode("utf-16-le"),
        (ENTITY % ' encoding="UTF-16"').encode("utf-16-be"),
        b"\xef\xbb\xbf" + (ENTITY % "").encode(),
        (ENTITY % ' encoding="cp037"').encode("cp037"),
        b"<a>\xff</a>",
    ],
    ids=["utf-8", "utf-16", "utf-16-le", "utf-16-be", "a mark", "cp037", "undecodable"],
)
def test_a_list_of_parts_has_no_document_type_in_any_encoding(
    bucket: storage.Bucket, http: httpx.Client, content: bytes
) -> None:
    started = http.post(f"/{bucket.name}/parts?uploads").text
    upload = started.partition("<UploadId>")[2].partition("</UploadId>")[0]
    http.put(f"/{bucket.name}/parts?partNumber=1&uploadId={upload}", content=b"one")
    refused = http.post(f"/{bucket.name}/parts?uploadId={upload}", content=content)
    assert refused.status_code == 400
    assert "MalformedXML" in refused.text
    assert not bucket.blob("parts").exists()
