"""Compressed bodies: decoded within the limit, refused when damaged, and sent to clients that accept them."""

import gzip
import json
import zlib
from typing import Any

import pytest

BODY = json.dumps({"text": "a good film"}).encode()
LIMIT = 16 << 20
V2 = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["good"]}]}


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def post(client: Any, content: bytes, *codings: str, path: str = "/predict") -> Any:
    headers = [("content-type", "application/json"), *(("content-encoding", coding) for coding in codings)]
    return client.post(path, content=content, headers=headers)


@pytest.mark.parametrize(
    ("content", "codings"),
    [
        (gzip.compress(BODY, mtime=0), ["gzip"]),
        (gzip.compress(BODY, mtime=0), ["X-GZip"]),
        (zlib.compress(BODY), ["deflate"]),
        (raw_deflate(BODY), ["deflate"]),
        (gzip.compress(BODY, mtime=0), ["identity, gzip"]),
        (gzip.compress(BODY, mtime=0), ["identity", "gzip"]),
        (BODY, ["identity"]),
        (BODY, [""]),
    ],
)
def test_a_compressed_body_is_read(client, content: bytes, codings: list[str]):
    answer = post(client, content, *codings)
    assert answer.status_code == 200
    assert answer.json()["predictions"] == client.post("/predict", content=BODY).json()["predictions"]


def test_every_route_that_reads_a_body_reads_it_compressed(client):
    v1 = post(client, gzip.compress(BODY, mtime=0), "gzip", path="/v1/models/moods:predict")
    v2 = post(client, gzip.compress(json.dumps(V2).encode()), "gzip", path="/v2/models/moods/infer")
    shard = post(client, gzip.compress(b'{"input": "gs://work/x"}'), "gzip", path="/predict-shard")
    assert (v1.status_code, v2.status_code) == (200, 200)
    assert "output" in shard.json()["error"]["message"]


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "x", "gzip,br"])
def test_another_coding_is_refused_with_those_that_are_accepted(client, coding: str):
    answer = post(client, BODY, coding)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("content", "coding"),
    [
        (BODY, "gzip"),
        (BODY, "deflate"),
        (b"", "gzip"),
        (b"\x78", "deflate"),
        (gzip.compress(BODY, mtime=0)[:-1], "gzip"),
        (zlib.compress(BODY)[:-4], "deflate"),
        (gzip.compress(BODY, mtime=0) + b"x", "gzip"),
        (gzip.compress(BODY, mtime=0)[:-8] + b"\0" * 8, "gzip"),
        (gzip.compress(b"", mtime=0) * 100_000, "gzip"),
    ],
)
def test_a_damaged_body_is_refused(client, content: bytes, coding: str):
    answer = post(client, content, coding)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
def test_a_body_is_not_decompressed_beyond_the_limit(client, compress: Any):
    coding = "gzip" if compress is gzip.compress else "deflate"
    fits = b'{"text": "a"}'.ljust(LIMIT)
    assert post(client, compress(fits), coding).status_code == 200
    for size in (LIMIT + 1, 40 << 20):
        answer = post(client, compress(b" " * size), coding)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("deflate, gzip;q=1.0, *;q=0.5", "gzip"),
        ("br, *", "gzip"),
        ("gzip;q=0, deflate;q=0.1", "deflate"),
        ("gzip; Q=0", None),
        ("*;q=0", None),
        ("identity", None),
        ("br;q=1.0", None),
        ("", None),
    ],
)
def test_a_large_response_is_compressed_for_a_client_that_accepts_it(client, accepted: str, coding: str | None):
    body = {"instances": ["a good film"] * 20}
    answer = client.post("/predict", body, headers={"accept-encoding": accepted})
    assert answer.headers.get("content-encoding") == coding
    assert len(answer.json()["predictions"]) == 20
    if coding:
        assert int(answer.headers["content-length"]) < len(answer.content) / 4
        assert answer.headers["vary"] == "accept-encoding"


def test_a_small_response_is_not_compressed(client):
    assert "content-encoding" not in client.request("GET", "/health", headers={"accept-encoding": "gzip"}).headers
