"""The store without HTTP: the outbox of changes, lifecycle rules, the lock on the folder."""

import itertools
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emulator.storage import Preconditions, Source, Store
from emulator.storage.contents.files import Writer
from emulator.storage.errors import PreconditionError
from emulator.storage.resources import Fields


def files(folder: Path) -> int:
    return sum(1 for file in folder.glob("contents/*/*") if file.is_file())


def test_each_change_is_announced_and_kept_until_acknowledged() -> None:
    announced: list[tuple[str, str, dict[str, str]]] = []

    def hook(change: str, resource: Fields, attributes: Mapping[str, str]) -> None:
        announced.append((change, resource["generation"], dict(attributes)))

    store = Store(on_change=hook, base_url="http://127.0.0.1:4443")
    store.buckets.create("bucket")
    first = store.objects.create("bucket", "a", b"1")
    second = store.objects.create("bucket", "a", b"2")
    store.objects.patch("bucket", "a", {"metadata": {"x": "y"}})
    store.buckets.patch("bucket", {"versioning": {"enabled": True}})
    third = store.objects.create("bucket", "a", b"3")
    store.objects.delete("bucket", "a")
    store.objects.delete("bucket", "a", third.generation)
    one, two, three = (str(each.generation) for each in (first, second, third))
    assert announced == [
        ("finalize", one, {}),
        ("delete", one, {"overwrittenByGeneration": two}),
        ("finalize", two, {"overwroteGeneration": one}),
        ("metadataUpdate", two, {}),
        ("archive", two, {"overwrittenByGeneration": three}),
        ("finalize", three, {"overwroteGeneration": two}),
        ("archive", three, {}),
        ("delete", three, {}),
    ]
    entries = store.outbox()
    assert [(each.type, each.resource["generation"], dict(each.attributes)) for each in entries] == announced
    assert entries[0].resource["selfLink"] == "http://127.0.0.1:4443/storage/v1/b/bucket/o/a"
    assert [each.id for each in store.outbox(after=entries[1].id, limit=2)] == [entries[2].id, entries[3].id]
    store.acknowledge(*(each.id for each in entries[:7]))
    assert store.outbox() == entries[7:]
    store.close()


def test_a_change_has_the_notifications_that_match_it() -> None:
    store = Store()
    store.buckets.create("bucket")
    store.objects.create("bucket", "in/early", b"")
    store.notifications.create("bucket", {"topic": "projects/p/topics/all", "custom_attributes": {"k": "v"}})
    store.notifications.create(
        "bucket",
        {"topic": "projects/p/topics/some", "event_types": ["OBJECT_DELETE"], "object_name_prefix": "in/",
         "payload_format": "NONE"},
    )  # fmt: skip
    created = store.objects.create("bucket", "in/x", b"1")
    store.objects.delete("bucket", "in/x")
    store.objects.create("bucket", "out/x", b"1")
    topics = [[each["topic"].rpartition("/")[2] for each in change.notifications] for change in store.outbox()]
    assert topics == [[], ["all"], ["all", "some"], ["all"]]
    change = store.outbox()[1]
    assert change.message_attributes(change.notifications[0]) == {
        "k": "v", "notificationConfig": "projects/_/buckets/bucket/notificationConfigs/1",
        "eventType": "OBJECT_FINALIZE", "payloadFormat": "JSON_API_V1", "bucketId": "bucket", "objectId": "in/x",
        "objectGeneration": str(created.generation), "eventTime": change.time,
    }  # fmt: skip
    store.close()


def test_a_failing_hook_does_not_undo_the_write(caplog: pytest.LogCaptureFixture) -> None:
    def hook(*_: object) -> None:
        raise RuntimeError("listener broke")

    store = Store(on_change=hook)
    store.buckets.create("bucket")
    store.objects.create("bucket", "a", b"1")
    assert store.objects.read("bucket", "a") == b"1"
    assert len(store.outbox()) == 1
    assert "change hook failed" in caplog.text
    store.close()


def test_contents_are_removed_with_their_last_object(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.buckets.create("bucket")
    store.objects.create("bucket", "a", b"1")
    source = store.objects.get("bucket", "a")
    store.objects.copy(Source("bucket", "a"), "bucket", "b")
    store.objects.copy(Source("bucket", "a"), "bucket", "a")
    assert files(tmp_path) == 1
    store.objects.delete("bucket", "a")
    assert store.objects.read("bucket", "b") == b"1"
    with pytest.raises(PreconditionError):
        store.objects.create("bucket", "b", b"2", None, Preconditions(generation=source.generation))
    assert files(tmp_path) == 1
    _, file = store.objects.open("bucket", "b")
    store.objects.delete("bucket", "b")
    with file:
        assert file.read() == b"1"
    assert files(tmp_path) == 0
    upload = store.resumable_uploads.start("bucket", "c", {}, Preconditions())
    store.resumable_uploads.append(upload, 0, b"12")
    store.resumable_uploads.cancel(upload)
    assert files(tmp_path) == 0
    store.close()


def test_a_restart_finds_all_state_and_removes_orphans(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.buckets.create("bucket", {"labels": {"a": "b"}})
    stored = store.objects.create("bucket", "a", b"content", {"metadata": {"k": "v"}})
    upload = store.resumable_uploads.start("bucket", "later", {"contentType": "text/x"}, Preconditions(generation=0))
    store.resumable_uploads.append(upload, 0, b"x" * (256 * 1024))
    orphan: Writer = store.contents.create()
    orphan.write(b"lost")
    orphan.close()
    assert files(tmp_path) == 3
    store.close()
    again = Store(tmp_path)
    assert files(tmp_path) == 3, "the start lists no files, since there may be very many"
    written: Writer = again.contents.create()
    again.sweep()
    assert files(tmp_path) == 3, "the orphan has gone, and the file under way is left"
    again.objects.drop(written)
    assert files(tmp_path) == 2
    assert again.objects.get("bucket", "a") == stored
    assert again.buckets.get("bucket").fields["labels"] == {"a": "b"}
    assert len(again.outbox()) == 1
    assert again.resumable_uploads.resume(upload).size == 256 * 1024
    again.resumable_uploads.append(upload, 256 * 1024, b"end")
    assert again.resumable_uploads.finish(upload, 256 * 1024 + 3).fields["contentType"] == "text/x"
    assert again.objects.create("bucket", "a", b"").generation > stored.generation
    again.close()


def test_a_sweep_leaves_what_is_written_meanwhile() -> None:
    store, stop = Store(), threading.Event()
    store.buckets.create("bucket")

    def write() -> None:
        for number in itertools.count():
            store.objects.create("bucket", str(number % 50), b"content")
            if number > 50 and stop.is_set():
                return

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        store.sweep()
        stop.set()
        writing.result()
    assert [store.objects.read("bucket", stored.name) for stored in store.objects.listing("bucket").objects] == [
        b"content"
    ] * 50
    store.close()


def test_only_one_store_may_use_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(BlockingIOError):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_lifecycle_rules_apply_as_of_a_time() -> None:
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    store = Store(clock=lambda: now[0])

    def rule(kind: str, **condition: object) -> Fields:
        return {"action": {"type": kind, "storageClass": "COLDLINE"}, "condition": condition}

    rules = [
        rule("Delete", age=7, matchesPrefix=["tmp/"]),
        rule("SetStorageClass", age=3),
        rule("Delete", numNewerVersions=1),
    ]
    store.buckets.create("bucket", {"lifecycle": {"rule": rules}, "versioning": {"enabled": True}})
    store.buckets.create("plain", {"lifecycle": {"rule": [rule("Delete", age=7)]}})
    for bucket, name in (("bucket", "tmp/a"), ("bucket", "keep"), ("plain", "a")):
        store.objects.create(bucket, name, b"")
    upload = store.resumable_uploads.start("bucket", "x", {}, Preconditions())
    old = store.objects.get("bucket", "keep")
    store.objects.create("bucket", "keep", b"newer")
    assert [stored.generation for stored in store.expire(now[0])] == [old.generation]
    now[0] += timedelta(days=4)
    assert store.expire(now[0]) == []
    assert store.objects.get("bucket", "keep").fields["storageClass"] == "COLDLINE"
    assert store.resumable_uploads.get(upload).size == 0
    now[0] += timedelta(days=3, seconds=1)
    assert sorted(stored.name for stored in store.expire(now[0])) == ["a", "tmp/a"]
    assert [stored.name for stored in store.objects.listing("bucket").objects] == ["keep"]
    with pytest.raises(Exception, match="upload session"):
        store.resumable_uploads.get(upload)
    store.close()
