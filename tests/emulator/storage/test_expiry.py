"""Resumable sessions end after a week."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.testclient import TestClient

from emulator.storage import Store, app
from tests.emulator.storage.sessions import HOST, send, start_session

QUANTUM = 256 * 1024


def on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_sessions_end_after_a_week_with_their_bytes_and_leave_what_they_finished(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = Store(tmp_path, clock=lambda: now[0])
    store.buckets.create("bucket", {})
    http = TestClient(app(store), HOST)
    unfinished, finished = (start_session(http, name) for name in ("a", "b"))
    assert send(http, unfinished, bytes(QUANTUM), f"0-{QUANTUM - 1}/*").status_code == 308
    assert send(http, finished, b"kept", "0-3/4").status_code == 200
    now[0] += timedelta(days=1)
    younger = start_session(http, "c")
    assert send(http, younger, bytes(QUANTUM), f"0-{QUANTUM - 1}/*").status_code == 308

    now[0] += timedelta(days=6)
    store.expire(now[0])
    assert send(http, unfinished, b"", "*/*").headers["range"] == f"bytes=0-{QUANTUM - 1}"
    now[0] += timedelta(seconds=1)
    store.expire(now[0])
    assert [send(http, session, b"", "*/*").status_code for session in (unfinished, finished)] == [404, 404]
    assert on_disk(tmp_path / "contents") == len(b"kept") + QUANTUM
    assert send(http, younger, b"end", f"{QUANTUM}-{QUANTUM + 2}/{QUANTUM + 3}").status_code == 200
    assert http.get("/storage/v1/b/bucket/o/b", params={"alt": "media"}).content == b"kept"
    store.close()
