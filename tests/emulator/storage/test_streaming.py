"""Uploads reach the disk while they arrive: the next part of a body is read when the one before has been written."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from emulator.storage import Store, app
from tests.emulator.storage.sessions import HOST, start_session

BLOCK = 1 << 20
BLOCKS = 12


def on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class Sender:
    """Sends a body block by block and notes how much of it was in memory at most."""

    def __init__(self, folder: Path, before: bytes, after: bytes) -> None:
        self._folder = folder
        self._blocks = [before, *[bytes(BLOCK)] * BLOCKS, after]
        self._sent = 0
        self.most_in_memory = 0
        self.size = sum(map(len, self._blocks))
        self.status = 0

    async def receive(self) -> dict[str, Any]:
        self.most_in_memory = max(self.most_in_memory, self._sent - on_disk(self._folder))
        if not self._blocks:
            return {"type": "http.disconnect"}
        block = self._blocks.pop(0)
        self._sent += len(block)
        return {"type": "http.request", "body": block, "more_body": bool(self._blocks)}

    async def send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)


MULTIPART = (
    b'--cut\r\nContent-Type: application/json\r\n\r\n{"name": "big"}\r\n--cut\r\nContent-Type: text/plain\r\n\r\n',
    b"\r\n--cut--\r\n",
)
UPLOADS = {
    "media": ("POST", "/upload/storage/v1/b/bucket/o", "uploadType=media&name=big", "text/plain", (b"", b"")),
    "multipart": (
        *("POST", "/upload/storage/v1/b/bucket/o", "uploadType=multipart"),
        *("multipart/related; boundary=cut", MULTIPART),
    ),
    "resumable": ("PUT", "/upload/storage/v1/b/bucket/o", "", "", (b"", b"")),
    "xml": ("PUT", "/bucket/big", "", "text/plain", (b"", b"")),
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_a_body_is_read_no_faster_than_it_is_written(tmp_path: Path, kind: str) -> None:
    method, path, query, content_type, (before, after) = UPLOADS[kind]
    store = Store(tmp_path)
    store.buckets.create("bucket", {})
    if kind == "resumable":
        query = urlsplit(start_session(TestClient(app(store), HOST), "big")).query
    sender = Sender(tmp_path / "contents", before, after)
    headers = {"host": "127.0.0.1", "content-type": content_type, "content-length": str(sender.size)}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    asyncio.run(app(store)(scope, sender.receive, sender.send))  # type: ignore[arg-type]
    assert sender.status == 200
    assert store.objects.get("bucket", "big").size == BLOCKS * BLOCK
    assert sender.most_in_memory <= 3 * BLOCK
    store.close()
