"""A server killed during uploads: after a restart, every acknowledged object is there and complete."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from emulator.storage import Store

SERVE = Path(__file__).with_name("serve.py")
ROOT = Path(__file__).parents[3]
QUANTUM = 256 * 1024


class Server:
    """The store of a folder, served by a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, str(SERVE), str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        assert self.process.stdout
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_objects_survive_a_kill(tmp_path: Path, seed: int) -> None:
    server = Server(tmp_path)
    acknowledged: dict[str, str] = {}
    enough = threading.Event()

    def upload(writer: int) -> None:
        chance = random.Random(f"{seed}/{writer}")
        with httpx.Client(base_url=server.url, timeout=10) as http:
            for number in range(10_000):
                name, data = f"{writer}/{number}", chance.randbytes(chance.choice([10, 5_000, 700_000, 3_000_000]))
                try:
                    answer = _send(http, name, data, resumable=bool(number % 2))
                except httpx.TransportError:
                    return
                assert answer.status_code == 200
                acknowledged[name] = hashlib.sha256(data).hexdigest()
                if len(acknowledged) >= 40:
                    enough.set()

    try:
        httpx.post(f"{server.url}/storage/v1/b?project=p", json={"name": "bucket-1"}).raise_for_status()
        threads = [threading.Thread(target=upload, args=(writer,)) for writer in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
    finally:
        server.kill()
    for thread in threads:
        thread.join()

    store = Store(tmp_path)
    objects = {stored.name: stored for stored in store.objects.listing("bucket-1").objects}
    for name, digest in acknowledged.items():
        assert hashlib.sha256(store.objects.read("bucket-1", name)).hexdigest() == digest
    assert len(objects) - len(acknowledged) in range(len(threads) + 1), "at most one unanswered upload of each writer"
    for stored in objects.values():
        content = store.contents.measure(stored.content)
        assert (content.size, content.checksums.crc32c) == (stored.size, stored.fields["crc32c"])
    announced = {change.resource["name"] for change in store.outbox(limit=100_000)}
    assert announced == set(objects)
    sessions = 4
    assert sum(1 for file in tmp_path.glob("contents/*/*")) <= len(objects) + sessions
    store.close()


def _send(http: httpx.Client, name: str, data: bytes, *, resumable: bool) -> httpx.Response:
    path = "/upload/storage/v1/b/bucket-1/o"
    if not resumable:
        return http.post(path, params={"uploadType": "media", "name": name}, content=data)
    session = http.post(path, params={"uploadType": "resumable", "name": name}).headers["location"]
    for start in range(0, len(data), QUANTUM):
        end = min(start + QUANTUM, len(data))
        span = f"bytes {start}-{end - 1}/{len(data)}"
        answer = http.put(session, content=data[start:end], headers={"content-range": span})
    return answer


def test_a_session_continues_after_a_kill(tmp_path: Path) -> None:
    data = os.urandom(3 * QUANTUM + 5)
    server = Server(tmp_path)
    try:
        httpx.post(f"{server.url}/storage/v1/b?project=p", json={"name": "bucket-1"}).raise_for_status()
        path = "/upload/storage/v1/b/bucket-1/o?uploadType=resumable&name=big&ifGenerationMatch=0"
        session = httpx.post(server.url + path).headers["location"]
        first = {"content-range": f"bytes 0-{2 * QUANTUM - 1}/{len(data)}"}
        assert httpx.put(session, content=data[: 2 * QUANTUM], headers=first).status_code == 308
    finally:
        server.kill()
    again = Server(tmp_path)
    try:
        moved = session.replace(server.url, again.url)
        status = httpx.put(moved, content=b"", headers={"content-range": "bytes */*"})
        assert (status.status_code, status.headers["range"]) == (308, f"bytes=0-{2 * QUANTUM - 1}")
        rest = {"content-range": f"bytes {2 * QUANTUM}-{len(data) - 1}/{len(data)}"}
        assert httpx.put(moved, content=data[2 * QUANTUM :], headers=rest).status_code == 200
        assert httpx.get(f"{again.url}/bucket-1/big").content == data
    finally:
        again.kill()
