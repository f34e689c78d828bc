"""Reads the head of an input from a server that closes the connection within a response."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from google.api_core.exceptions import ServiceUnavailable

from pipeline import storage as pipeline_storage
from pipeline.inputs import objects
from pipeline.inputs.objects import HEAD_BYTES
from pipeline.jobs.job import Input

ASKED: list[str] = []


class BreakingOff(BaseHTTPRequestHandler):
    """Closes the connection within a response, after the number of bytes in the object's name."""

    def do_GET(self) -> None:
        ASKED.append(self.path)
        sent = int(self.path.partition("?")[0].rsplit("/", 1)[1])
        self.send_response(206)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"x" * sent)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def storage() -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BreakingOff) as server, pytest.MonkeyPatch.context() as patch:
        threading.Thread(target=server.serve_forever).start()
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("GOOGLE_CLOUD_PROJECT", "p")
        pipeline_storage.client.cache_clear()
        yield
        server.shutdown()
        pipeline_storage.client.cache_clear()


@pytest.mark.parametrize(
    ("size", "sent"), [(10, 9), (10, 0), (HEAD_BYTES, HEAD_BYTES - 1), (10 * HEAD_BYTES, HEAD_BYTES - 1)]
)
def test_a_truncated_response_is_a_failure_to_retry_not_a_short_input(size: int, sent: int) -> None:
    with pytest.raises(ServiceUnavailable, match=f"Only {sent} of the first {min(size, HEAD_BYTES)} bytes arrived"):
        objects.head(Input("bucket", str(sent), 1, size))


@pytest.mark.parametrize(
    ("size", "sent", "whole"),
    [(0, 0, True), (10, 10, True), (HEAD_BYTES, HEAD_BYTES, True), (99_999, HEAD_BYTES, False)],
)
def test_a_complete_response_is_the_head(size: int, sent: int, whole: bool) -> None:
    head = objects.head(Input("bucket", str(sent), 1, size))
    assert (len(head.data), head.whole) == (sent, whole)


def test_only_the_object_is_requested() -> None:
    """The client's own thread would also request the bucket, once per bucket and instance."""
    pipeline_storage.client.cache_clear()
    ASKED.clear()
    objects.head(Input("bucket", "10", 1, 10))
    time.sleep(0.3)
    assert [path.partition("?")[0] for path in ASKED] == ["/download/storage/v1/b/bucket/o/10"]
