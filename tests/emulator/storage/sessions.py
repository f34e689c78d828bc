"""Resumable sessions over HTTP, in the process of the test."""

import httpx
from starlette.testclient import TestClient

HOST = "http://127.0.0.1"


def start_session(http: TestClient, name: str) -> str:
    """The URL of a new session for an object in the bucket named bucket."""
    started = http.post("/upload/storage/v1/b/bucket/o", params={"uploadType": "resumable", "name": name})
    assert started.status_code == 200, started.text
    return str(started.headers["location"])


def send(http: TestClient, session: str, data: bytes, span: str) -> httpx.Response:
    return http.put(session, content=data, headers={"content-range": f"bytes {span}"})
