"""Resumable sessions end after a week."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emulator.storage import Store
from emulator.storage.errors import NotFoundError
from emulator.storage.preconditions import Preconditions


def on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_sessions_end_after_a_week_with_their_bytes_and_leave_what_they_finished(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    store = Store(tmp_path, clock=lambda: now[0])
    store.buckets.create("bucket", {})
    unfinished, finished = (store.uploads.start("bucket", name, {}, Preconditions()) for name in ("a", "b"))
    store.uploads.append(unfinished, 0, bytes(1000))
    store.uploads.append(finished, 0, b"kept")
    store.uploads.finish(finished, 4)
    now[0] += timedelta(days=1)
    younger = store.uploads.start("bucket", "c", {}, Preconditions())
    store.uploads.append(younger, 0, b"half")

    now[0] += timedelta(days=6)
    store.expire(now[0])
    assert store.uploads.get(unfinished).size == 1000
    now[0] += timedelta(seconds=1)
    store.expire(now[0])
    for session in (unfinished, finished):
        with pytest.raises(NotFoundError):
            store.uploads.get(session)
    assert on_disk(tmp_path / "contents") == len(b"kept" + b"half")
    store.uploads.append(younger, 4, b" and half")
    assert store.uploads.finish(younger, 13).size == 13
    with store.contents.open(store.objects.get("bucket", "b").content) as file:
        assert file.read() == b"kept"
    store.close()
