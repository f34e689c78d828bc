"""Resumable sessions after failures of the client or the connection, and interrupted uploads."""

import io
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from google.cloud import storage

from emulator.storage import Store

QUANTUM = 256 * 1024


@pytest.fixture
def session(http: httpx.Client, bucket: storage.Bucket) -> str:
    started = http.post("/upload/storage/v1/b/bucket-1/o", params={"uploadType": "resumable", "name": "big"})
    assert started.status_code == 200
    return str(started.headers["location"])


def contents(store: Store) -> list[Path]:
    return list(store.contents.folder.glob("*/*"))


def until(condition: Callable[[], object]) -> None:
    """Wait for something that the server does; the test's own timeout is the limit."""
    while not condition():
        time.sleep(0.005)


def put(http: httpx.Client, session: str, data: bytes, span: str, **headers: str) -> httpx.Response:
    return http.put(session, content=data, headers={"content-range": f"bytes {span}", **headers})


def test_a_session_reports_its_progress(http: httpx.Client, session: str) -> None:
    data = os.urandom(2 * QUANTUM + 10)
    fresh = put(http, session, b"", "*/*")
    assert (fresh.status_code, fresh.headers.get("range")) == (308, None)
    first = put(http, session, data[:QUANTUM], f"0-{QUANTUM - 1}/*")
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    status = put(http, session, b"", f"*/{len(data)}")
    assert (status.status_code, status.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    done = put(http, session, data[QUANTUM:], f"{QUANTUM}-{len(data) - 1}/{len(data)}")
    assert (done.status_code, done.json()["size"]) == (200, str(len(data)))
    for repeated in (put(http, session, b"", f"*/{len(data)}"), put(http, session, data[-10:], "0-9/10")):
        assert repeated.json()["generation"] == done.json()["generation"]
    assert http.get(done.json()["mediaLink"]).content == data


def test_chunks_may_be_posted(http: httpx.Client, session: str) -> None:
    """As gcsfs sends them, and pandas through it."""
    data = os.urandom(QUANTUM + 10)
    first = http.post(session, content=data[:QUANTUM], headers={"content-range": f"bytes 0-{QUANTUM - 1}/*"})
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    span = f"bytes {QUANTUM}-{len(data) - 1}/{len(data)}"
    done = http.post(session, content=data[QUANTUM:], headers={"content-range": span})
    assert (done.status_code, done.json()["size"]) == (200, str(len(data)))
    assert http.get(done.json()["mediaLink"]).content == data


@pytest.mark.parametrize("total", ["unknown", "known"])
def test_a_chunk_of_unknown_length_ends_with_its_body(http: httpx.Client, session: str, total: str) -> None:
    """As Node's client streams an object, and how it continues after a lost connection."""
    data = os.urandom(QUANTUM + 10)
    put(http, session, data[:QUANTUM], f"0-{QUANTUM - 1}/*")
    length = str(len(data)) if total == "known" else "*"
    done = http.put(session, content=iter([data[QUANTUM:]]), headers={"content-range": f"bytes {QUANTUM}-*/{length}"})
    assert (done.status_code, done.json()["size"]) == (200, str(len(data)))
    assert http.get(done.json()["mediaLink"]).content == data


def test_a_whole_object_of_unknown_length(http: httpx.Client, session: str) -> None:
    done = http.put(session, content=iter([b"one", b"two"]), headers={"content-range": "bytes 0-*/*"})
    assert (done.status_code, done.json()["size"]) == (200, "6")


def test_a_chunk_may_be_repeated_but_not_skipped(http: httpx.Client, session: str) -> None:
    data = os.urandom(3 * QUANTUM)
    put(http, session, data[:QUANTUM], f"0-{QUANTUM - 1}/*")
    gap = put(http, session, data[2 * QUANTUM :], f"{2 * QUANTUM}-{3 * QUANTUM - 1}/{3 * QUANTUM}")
    assert (gap.status_code, gap.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    done = put(http, session, data, f"0-{3 * QUANTUM - 1}/{3 * QUANTUM}")
    assert done.status_code == 200
    assert http.get(done.json()["mediaLink"]).content == data


def test_a_chunk_is_kept_in_multiples_of_256_kib(http: httpx.Client, session: str) -> None:
    data = os.urandom(QUANTUM + 100)
    odd = put(http, session, data, f"0-{len(data) - 1}/*")
    assert (odd.status_code, odd.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    done = put(http, session, data[QUANTUM:], f"{QUANTUM}-{len(data) - 1}/{len(data)}")
    assert http.get(done.json()["mediaLink"]).content == data


def test_a_broken_connection_keeps_what_arrived(http: httpx.Client, session: str) -> None:
    data = os.urandom(4 * QUANTUM)
    url = urlsplit(session)
    with socket.create_connection((url.hostname, url.port)) as raw:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        raw.sendall(head.encode() + data[: 2 * QUANTUM + 1000])
    kept = -1
    while kept != 2 * QUANTUM:
        status = put(http, session, b"", f"*/{len(data)}")
        assert status.status_code == 308
        kept = int(status.headers["range"].rpartition("-")[2]) + 1 if "range" in status.headers else 0
        assert kept in {0, QUANTUM, 2 * QUANTUM}
    done = put(http, session, data[kept:], f"{kept}-{len(data) - 1}/{len(data)}")
    assert http.get(done.json()["mediaLink"]).content == data


@pytest.mark.parametrize("kind", ["media", "multipart"])
def test_a_broken_simple_upload_creates_nothing(
    http: httpx.Client, bucket: storage.Bucket, store: Store, kind: str
) -> None:
    url = urlsplit(str(http.base_url))
    with socket.create_connection((url.hostname, url.port)) as raw:
        head = (
            f"POST /upload/storage/v1/b/bucket-1/o?uploadType={kind}&name=half HTTP/1.1\r\nHost: x\r\n"
            "Content-Type: multipart/related; boundary=frontier\r\nContent-Length: 1000000\r\n\r\n"
            "--frontier\r\n\r\n{}\r\n--frontier\r\n\r\nhalf"
        )
        raw.sendall(head.encode())
        until(lambda: contents(store))
    until(lambda: not contents(store))
    assert list(bucket.list_blobs()) == []
    assert store.outbox() == []


def test_the_client_recovers_from_lost_responses(bucket: storage.Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The official client, with a connection that breaks before the response to every second chunk."""
    blob = bucket.blob("lost", chunk_size=QUANTUM)
    session = bucket.client._http
    send = session.request
    calls = []

    def flaky(method: str, url: str, **options: object) -> object:
        response = send(method, url, **options)
        calls.append(method)
        if method == "PUT" and len(calls) % 2:
            raise ConnectionError("the response is lost")
        return response

    monkeypatch.setattr(session, "request", flaky)
    data = os.urandom(5 * QUANTUM + 3)
    blob.upload_from_file(io.BytesIO(data))
    monkeypatch.undo()
    assert calls.count("PUT") > 6
    assert bucket.blob("lost").download_as_bytes() == data


def test_a_cancelled_session_is_gone(http: httpx.Client, session: str) -> None:
    put(http, session, b"x" * QUANTUM, f"0-{QUANTUM - 1}/*")
    assert http.delete(session).status_code == 499
    assert put(http, session, b"", "*/*").status_code == 499
    assert http.put(session + "x", content=b"").status_code == 404


@pytest.mark.parametrize("span", ["nonsense", "5-3/9", "0-9/5", "0-9/9999999999999999", "*/99999999999999999"])
def test_a_malformed_range_is_refused(http: httpx.Client, session: str, span: str) -> None:
    assert put(http, session, b"0123456789", span).status_code in {400, 413}


def test_the_body_must_match_its_range(http: httpx.Client, session: str) -> None:
    assert put(http, session, b"0123456789", "0-4/10").status_code == 400
    assert put(http, session, b"01234", "0-9/10").status_code == 400


def test_a_session_checks_size_and_hash(http: httpx.Client, bucket: storage.Bucket) -> None:
    url = "/upload/storage/v1/b/bucket-1/o?uploadType=resumable&name=x"
    announced = http.post(url, headers={"x-upload-content-length": "3", "x-upload-content-type": "text/plain"})
    assert put(http, announced.headers["location"], b"four", "0-3/4").status_code == 400
    wrong = put(http, http.post(url).headers["location"], b"four", "0-3/4", **{"x-goog-hash": "crc32c=AAAAAA=="})
    assert wrong.status_code == 400
    assert "doesn't match calculated CRC32C" in wrong.json()["error"]["message"]
    right = put(http, announced.headers["location"], b"abc", "0-2/3")
    assert (right.status_code, right.json()["contentType"]) == (200, "text/plain")
    fresh = http.post(url, json={"contentType": "text/csv", "metadata": {"a": "b"}})
    stored = http.put(fresh.headers["location"], content=b"abc").json()
    assert (stored["contentType"], stored["metadata"], stored["md5Hash"]) == (
        "text/csv", {"a": "b"}, "kAFQmDzST7DWlj99KOF/cg==",
    )  # fmt: skip


def test_a_multipart_body_with_line_feeds_and_quotes(http: httpx.Client, bucket: storage.Bucket) -> None:
    body = b"--=b=\nContent-Type: application/json\n\n" + json.dumps({"name": "lf"}).encode()
    body += b"\n--=b=\nContent-Type: text/x\nContent-Transfer-Encoding: binary\n\na\r\nb\n\n--=b=--\n"
    stored = http.post(
        "/upload/storage/v1/b/bucket-1/o?uploadType=multipart",
        content=body,
        headers={"content-type": "multipart/related; boundary='=b='"},
    )
    assert (stored.json()["name"], stored.json()["contentType"]) == ("lf", "text/x")
    assert bucket.blob("lf").download_as_bytes() == b"a\r\nb\n"
