"""Reading: documents by criteria, progress of batches, status, and waiting."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from event_inference import AsyncClient, Failed, InputError, Rejected, Replay, Result, WaitTimeoutError
from event_inference.outcomes.handle import Handle
from pipeline.jobs.claims import Claims
from pipeline.jobs.job import Input, Job
from tests.event_inference.conftest import Emulated

ENTITIES = [{"entities": [{"entity_group": "PER", "word": "Ada", "score": 0.9, "start": 0, "end": 3}]}]
PARTIAL = {
    "uri": "gs://local-output/results/t.csv/5.csv", "records": 9, "failed": 2,
    "lost": [{"first": 0, "last": 1, "code": "http_503", "message": "No answer."}],
}  # fmt: skip
BATCH = {
    "schema": "status/v1", "job": "JOB", "document": "t.csv/5", "state": "running", "status": None,
    "records": {"total": 2000, "done": 1400, "failed": 3}, "shards": {"total": 4, "done": 2},
    "records_per_second": 812.5, "remaining_seconds": 0.7, "updated_at": "2026-01-01T00:00:00Z",
}  # fmt: skip


def names(documents: object) -> list[str]:
    return [document.input for document in documents]  # type: ignore[attr-defined]


@pytest.fixture
def filled(laptop: Emulated) -> Emulated:
    laptop.document("results", "a.txt", 1, predictions=[{"label": "NEGATIVE", "score": 0.5}],
                    quality={"confidence": 0.5, "requires_review": True})  # fmt: skip
    laptop.document("results", "a.txt", 2)
    laptop.document("results", "a/b.png", 3, kind="image", age=timedelta(hours=3))
    laptop.document("results", "c.txt", 4, predictions=ENTITIES, quality={"confidence": 0.9})
    laptop.document("results", "t.csv", 5, kind="table", status="partial", predictions=None, data=PARTIAL,
                    quality={"confidence": None})  # fmt: skip
    laptop.document("rejected", "empty.txt", 6)
    laptop.document("rejected", "cut.jpg", 7, reason={"code": "truncated_image", "message": "It ends early."})
    laptop.document("failed", "d.txt", 8)
    laptop.document("failed", "e.txt", 9, error={"code": "internal", "message": "A defect.", "step": "preprocess"})
    laptop.write("results/own.json", '{"not": "a document"}')
    laptop.write("results/broken/1.json", "{")
    return laptop


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, ["a.txt", "a/b.png", "c.txt", "t.csv"]),
        ({"every_generation": True}, ["a.txt", "a.txt", "a/b.png", "c.txt", "t.csv"]),
        ({"prefix": "a"}, ["a.txt", "a/b.png"]),
        ({"kind": "image"}, ["a/b.png"]),
        ({"label": "POSITIVE"}, ["a.txt", "a/b.png"]),
        ({"label": "PER"}, ["c.txt"]),
        ({"below": 0.95}, ["c.txt"]),
        ({"below": 0.6, "every_generation": True}, ["a.txt"]),
        ({"since": datetime.now(UTC) - timedelta(days=1)}, ["a.txt", "a/b.png", "c.txt", "t.csv"]),
        ({"until": datetime.now(UTC) - timedelta(hours=1)}, ["a/b.png"]),
        ({"since": datetime.now(UTC) - timedelta(hours=1), "prefix": "a"}, ["a.txt"]),
        ({"known": {"results/c.txt/4.json"}}, ["a.txt", "a/b.png", "t.csv"]),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_results_by_criteria(filled: Emulated, criteria: dict, expected: list[str]):
    assert names(filled.client.results(**criteria)) == expected


def test_documents_are_typed(filled: Emulated):
    result = next(iter(filled.client.results(prefix="a.txt")))
    assert isinstance(result, Result)
    assert (result.label, result.confidence, result.status, result.ok) == ("POSITIVE", 0.99, "succeeded", True)
    assert result.latency == pytest.approx(2)
    assert (result.model or {})["name"] == "sentiment"
    assert (result.cost_usd, result.device_usd) == (0.0003, 0.00003)
    batch = next(iter(filled.client.results(kind="table")))
    assert (batch.label, batch.summary, batch.ok) == (None, "9 records, 2 failed", False)
    (rejected,) = filled.client.rejected(code="truncated_image")
    assert isinstance(rejected, Rejected)
    assert rejected.summary == "truncated_image: It ends early."
    (failed,) = filled.client.failed(code="internal")
    assert isinstance(failed, Failed)
    assert (failed.step, failed.summary) == ("preprocess", "internal in preprocess: A defect.")


def test_what_a_replay_would_start(filled: Emulated):
    client = filled.client
    assert names(client.replayable()) == ["d.txt", "e.txt"]
    assert names(client.replayable(code="http_503")) == ["d.txt"]
    assert names(client.replayable(limit=1)) == ["d.txt"]
    assert names(client.replayable(partial=True)) == ["t.csv"]
    assert names(client.replayable(partial=True, code="internal")) == []
    assert names(client.replayable(Replay(code="internal"))) == ["e.txt"]
    with pytest.raises(TypeError, match="prefx"):  # never all of them for a misspelt criterion
        client.replayable(prefx="d")


def test_orders_are_the_documented_messages(laptop: Emulated):
    since = datetime(2026, 1, 31, 12, tzinfo=UTC)
    laptop.client.replay(prefix="a", code="http_503", since=since, limit=5, partial=True)
    laptop.client.sweep(prefix="texts/")
    laptop.client.collect()
    assert laptop.orders() == [
        {
            "replay": {
                "prefix": "a",
                "code": "http_503",
                "since": "2026-01-31T12:00:00+00:00",
                "limit": 5,
                "partial": True,
            }
        },
        {"sweep": {"prefix": "texts/"}},
        {"collect": {}},
    ]
    for order in (lambda: laptop.client.replay(limit=0), lambda: laptop.client.sweep(limit=0)):
        with pytest.raises(InputError, match="limit"):
            order()
    with pytest.raises(InputError, match="time zone"):
        laptop.client.replay(since=datetime(2026, 1, 1))


def test_batches(laptop: Emulated):
    laptop.write("status/0123.json", json.dumps(BATCH | {"job": "0123"}))
    (batch,) = laptop.client.batches()
    assert (batch.input, batch.state, batch.total, batch.done, batch.failed) == ("t.csv", "running", 2000, 1400, 3)
    assert list(laptop.client.batches(since=datetime.now(UTC) + timedelta(hours=1))) == []


def test_the_status_of_an_input_moves_on(laptop: Emulated):
    handle = laptop.client.submit(b"x", name="t.csv")
    assert handle.status().state == "waiting"
    assert handle.document is None
    execution = laptop.execution(handle.job)
    status = handle.status()
    assert (status.state, status.steps[-1:], status.execution) == ("running", ("wait",), execution.rpartition("/")[2])
    laptop.write(f"status/{handle.job}.json", json.dumps(BATCH | {"job": handle.job}))
    batch = handle.status().batch
    assert batch is not None
    assert batch.done == 1400
    laptop.document("results", "t.csv", handle.generation)
    assert handle.status().is_final


def test_an_input_that_may_wait_says_until_when_and_then_shows_the_execution_that_it_shares(laptop: Emulated):
    handle = laptop.client.submit(b"I liked it.", name="a.txt", parameters={"max_wait": "1h"})
    due = datetime(2026, 1, 1, 13, tzinfo=UTC)
    source = Input("local-input", "a.txt", handle.generation, 11)
    job = Job(handle.job, handle.document_name, "1", "2026-01-01T12:00:00Z", source, due="2026-01-01T13:00:00Z")
    claims = Claims(laptop.client.connection.work, lease=60)
    claim = claims.acquire(job)
    assert claim is not None
    assert handle.status().until is None
    claims.postpone(claim, job)
    assert (handle.status().state, handle.status().until) == ("waiting", due)
    waiting = claims.read(job.id)
    assert waiting is not None
    execution = laptop.execution("of-a-micro-batch")
    claims.confirm(waiting, job, execution)
    status = handle.status()
    assert (status.state, status.until, status.execution) == ("running", None, execution.rpartition("/")[2])


def test_a_failed_execution_has_a_place_in_the_workflow(laptop: Emulated):
    handle = laptop.client.submit(b"x", name="a.txt")
    execution = laptop.execution(handle.job, fails=True)
    while laptop.client.connection.executions.get_execution(name=execution).state.name == "ACTIVE":
        pass
    lineage = {"event_id": "1", "execution": execution.rpartition("/")[2]}
    laptop.document("failed", "a.txt", handle.generation, lineage=lineage)
    assert handle.status().place == "workflow.yaml:13:9, step break_off of main"


def test_an_input_is_found_by_name_uri_and_job(laptop: Emulated):
    sent = laptop.client.submit(b"x", name="a b.txt")
    assert laptop.client.find("a b.txt").job == sent.job
    assert laptop.client.find("gs://local-input/a b.txt").job == sent.job
    document = {"input": {"name": "a b.txt"}, "document": sent.document_name}
    laptop.execution(sent.job, **document)
    assert laptop.client.find(sent.job).document_name == sent.document_name
    for name, expected in {"nope": "does not exist", "gs://other/a": "not in the input bucket"}.items():
        with pytest.raises(InputError, match=expected):
            laptop.client.find(name)


@pytest.mark.parametrize("count", [3, 40])
def test_waiting_yields_each_document_as_it_appears(laptop: Emulated, count: int):
    """Few inputs are asked for one by one, many are found in listings."""
    handles = [
        Handle(laptop.client, f"x/{number:03}.txt", 7, str(number), f"x/{number:03}.txt/7") for number in range(count)
    ]

    def write() -> None:
        for number in range(count):
            folder = ("results", "rejected", "failed")[number % 3]
            laptop.document(folder, f"x/{number:03}.txt", 7)
        laptop.document("results", "x/000.txt", 8)

    writer = threading.Thread(target=write)
    writer.start()
    found = {handle.name: document.status for handle, document in laptop.client.wait(handles, timeout=30)}
    writer.join()
    assert len(found) == count
    assert (found["x/000.txt"], found["x/001.txt"], found["x/002.txt"]) == ("succeeded", "rejected", "failed")


def test_waiting_ends_in_time(laptop: Emulated):
    handle = laptop.client.submit(b"x", name="a.txt")
    with pytest.raises(WaitTimeoutError, match=r"a\.txt has no document after 0\.1 s; processing goes on"):
        handle.wait(timeout=0.1)


def test_the_form_for_asyncio(laptop: Emulated, tmp_path: Path):
    async def work() -> list[str]:
        async with AsyncClient(target=laptop.target) as client:
            (tmp_path / "a.txt").write_text("x")
            handle = await client.submit(tmp_path / "a.txt")
            assert (await handle.status()).state == "waiting"
            many = [sent.handle.name async for sent in client.submit_many([tmp_path / "a.txt"])]
            laptop.document("results", "a.txt", handle.handle.generation)
            document = await handle.wait(timeout=20)
            assert await handle.document() == document
            await client.sweep()
            return [*many, *[result.input async for result in client.results()]]

    assert asyncio.run(work()) == ["a.txt", "a.txt"]
    assert laptop.orders() == [{"sweep": {}}]


def test_documents_can_be_saved(filled: Emulated, tmp_path: Path):
    filled.client.download("results/a.txt/2.json", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["status"] == "succeeded"
    with pytest.raises(InputError, match="cannot be written"):
        filled.client.download("results/a.txt/2.json", tmp_path / "no" / "folder.json")
