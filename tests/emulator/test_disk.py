"""Faults of the disk end in one line that names the file, and in errors of Google's form."""

import asyncio
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from emulator import disk
from emulator.__main__ import main
from emulator.server import Emulator
from emulator.stack import loader

UPLOAD = "/upload/storage/v1/b/box/o?uploadType=media&name=a"
TOPIC = "/v1/projects/local-project/topics/messages"


@contextmanager
def full_disk(bytes_free: int) -> Iterator[None]:
    """No file can be larger than `bytes_free`, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    file = tmp_path / "stack.yaml"
    file.write_text(
        "buckets: {box: {}}\ntopics: [messages]\nsubscriptions: {kept: {topic: messages}}\nports: {http: 0, grpc: 0}"
    )
    return file


def test_uploads_to_a_full_disk_are_refused_until_there_is_space(
    tmp_path: Path, stack: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk.report.cache_clear()

    async def check() -> None:
        async with (
            Emulator(loader.load(stack), tmp_path / "data", services={}) as emulator,
            httpx.AsyncClient(base_url=f"http://{emulator.http}", timeout=60) as http,
        ):
            with full_disk(300_000):
                refused = [await http.post(UPLOAD, content=b"x" * 3_000_000) for _ in range(2)]
            for response in refused:
                error = response.json()["error"]
                assert (response.status_code, error["code"]) == (507, 507)
                assert error["errors"][0]["reason"] == "insufficientStorage"
                assert "the disk or quota is full; free some space" in error["message"]
            assert list((tmp_path / "data" / "storage" / "contents").glob("??/*")) == []
            assert (await http.post(UPLOAD, content=b"x" * 3_000_000)).status_code == 200

    asyncio.run(check())
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert said.startswith(f"requests are refused: {tmp_path}/data/storage/contents cannot grow")


def test_a_session_on_a_full_disk_is_dropped_and_can_be_continued_later(tmp_path: Path, stack: Path) -> None:
    """Without the 413 gcloud retries for ever, as it takes what the session holds for progress."""

    async def check() -> None:
        async with (
            Emulator(loader.load(stack), tmp_path / "data", services={}) as emulator,
            httpx.AsyncClient(base_url=f"http://{emulator.http}", timeout=60) as http,
        ):
            start = await http.post(UPLOAD.replace("media", "resumable"))
            session, query = start.headers["location"], {"content-range": "bytes */*"}
            with full_disk(1_500_000):
                assert (await http.put(session, content=b"x" * 3_000_000)).status_code == 507
            assert sum(path.stat().st_size for path in (tmp_path / "data/storage/contents").glob("??/*")) == 0
            dropped = await http.put(session, headers=query)
            assert (dropped.status_code, "free some space" in dropped.text) == (413, True)
            assert (await http.put(session, headers=query)).status_code == 308
            assert (await http.put(session, content=b"x" * 3_000_000)).status_code == 200

    asyncio.run(check())


def test_messages_on_a_full_disk_are_refused_until_there_is_space(tmp_path: Path, stack: Path) -> None:
    async def check() -> None:
        async with (
            Emulator(loader.load(stack), tmp_path / "data", services={}) as emulator,
            httpx.AsyncClient(base_url=f"http://{emulator.http}", timeout=60) as http,
        ):
            body = {"messages": [{"data": "eHh4" * 200_000}]}
            with full_disk(400_000):
                response = await http.post(f"{TOPIC}:publish", json=body)
            assert (response.status_code, response.json()["error"]["status"]) == (503, "UNAVAILABLE")
            assert str(tmp_path / "data" / "pubsub.sqlite") in response.json()["error"]["message"]
            assert (await http.post(f"{TOPIC}:publish", json=body)).status_code == 200

    asyncio.run(check())


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("pubsub.sqlite", b"not a database, of whatever length it has" * 100, "is damaged; restore a copy, or remove"),
        ("workflows.sqlite", b"SQLite format 3\0" + b"\xff" * 4096, "is damaged; restore a copy, or remove"),
        ("jobs.sqlite", b"x" * 100, "is damaged; restore a copy, or remove"),
        ("storage/metadata.sqlite", b"x" * 5000, "is damaged; restore a copy, or remove"),
        ("tokens.pem", b"", "does not hold an RSA key: delete it to generate a new one"),
        ("tokens.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "does not hold an RSA key"),
    ],
)
def test_a_damaged_file_ends_the_start_in_one_line(
    tmp_path: Path, stack: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, problem: str
) -> None:
    data = tmp_path / "data"
    (data / "storage").mkdir(parents=True)
    (data / name).write_bytes(content)
    handlers = logging.getLogger().handlers[:]
    try:
        assert main(["up", "--stack", str(stack), "--data", str(data)]) == 1
    finally:
        logging.getLogger().handlers[:] = handlers
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"emulator: {data / name} {problem}")


@pytest.mark.parametrize("data", ["stack.yaml", "stack.yaml/data"])
def test_a_data_folder_that_cannot_be_created_ends_the_start_in_one_line(
    tmp_path: Path, stack: Path, capsys: pytest.CaptureFixture[str], data: str
) -> None:
    assert main(["up", "--stack", str(stack), "--data", str(tmp_path / data)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"emulator: {tmp_path / data}")
    assert line.endswith("choose another folder with --data")
