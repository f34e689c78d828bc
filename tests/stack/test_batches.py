"""Batches on the local stack, by requests and by the jobs, while processes are killed and shards lost."""

import contextlib
import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from google.api_core.exceptions import NotFound
from google.cloud import storage
from google.cloud.pubsub_v1 import PublisherClient

from emulator.process import Stack
from tests.stack import changed

ROOT = Path(__file__).parents[2]
THRESHOLD = 1500
CUT_JOB_BYTES = 250_000

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("batches")
    content = changed.description()
    content["env"]["RECORDS_PER_SHARD"] = "100"
    content["workflows"]["inference"]["env"] |= {"JOB_THRESHOLD_RECORDS": str(THRESHOLD), "JOB_TASKS": "2"}
    content["services"]["preprocess"]["env"]["CUT_JOB_BYTES"] = str(CUT_JOB_BYTES)
    with changed.started(folder, content) as running:
        yield running


def upload(client: storage.Client, name: str, rows: int) -> str:
    """Uploads a table with an empty text in every 50th row and returns the name of its terminal document."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "review"])
    for number in range(rows):
        review = f"The plot is {'wonderful' if number % 3 else 'dull'}, and the cast in scene {number} is fine."
        writer.writerow([number, "" if number % 50 == 49 else review])
    blob = client.bucket("local-input").blob(name)
    blob.upload_from_string(text.getvalue(), "text/csv")
    return f"{name}/{blob.generation}"


def wait(client: storage.Client, document: str, done: Callable[[dict[str, Any]], bool] = lambda _: True) -> Any:
    output = client.bucket("local-output")
    give_up = time.monotonic() + 100
    while time.monotonic() < give_up:
        for folder in ("results", "rejected", "failed"):
            with contextlib.suppress(NotFound):
                content = json.loads(output.blob(f"{folder}/{document}.json").download_as_bytes())
                if done(content):
                    return content
        time.sleep(0.1)
    raise AssertionError(f"{document} did not appear")


def rows_of(client: storage.Client, document: str) -> list[dict[str, str]]:
    data = client.bucket("local-output").blob(f"results/{document}.csv").download_as_bytes().decode()
    return list(csv.DictReader(io.StringIO(data, newline="")))


def processes(module: str) -> list[psutil.Process]:
    """The stack's processes that run a module."""
    running = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if module in process.cmdline():
                running.append(process)
    return running


@contextlib.contextmanager
def paused(module: str) -> Iterator[list[psutil.Process]]:
    """Suspends the processes of a module, and yields them."""
    suspended = processes(module)
    for process in suspended:
        process.suspend()
    try:
        yield suspended
    finally:
        for process in suspended:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def unfinished_shards(client: storage.Client) -> tuple[list[str], list[str]]:
    """The shards of the batch that is not finished, and its results."""
    batches: dict[str, tuple[list[str], list[str]]] = {}
    for blob in client.list_blobs("local-work", prefix="shards/"):
        shards, done = batches.setdefault(blob.name.split("/")[1], ([], []))
        if ".out." in blob.name:
            done.append(blob.name)
        elif blob.name.endswith(".jsonl"):
            shards.append(blob.name)
    return next((batch for batch in batches.values() if len(batch[1]) < len(batch[0])), ([], []))


def kill_in_the_middle(client: storage.Client, module: str, *, cut: int = 0) -> list[str]:
    """Kills the processes that work on the batch once some of its shards are done, and returns the results so far.

    With `cut`, once that many shards are cut.
    """
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        with paused(module) as suspended:
            shards, done = unfinished_shards(client)
            if suspended and (len(shards) >= cut if cut else len(done) >= 2):
                for process in suspended:
                    process.kill()
                return done
        time.sleep(0.02)
    raise AssertionError("no batch is partly done")


def check(document: dict[str, Any], table: list[dict[str, str]], rows: int) -> None:
    assert document["status"] == "partial"
    assert document["data"]["errors"] == {"empty": rows // 50}
    assert [int(row["id"]) for row in table] == list(range(rows))
    assert all(bool(row["label"]) != bool(row["error"]) for row in table)


def test_the_service_is_killed_in_the_middle_of_a_batch(stack: Stack, client: storage.Client) -> None:
    document = upload(client, "killed-service.csv", THRESHOLD)
    kill_in_the_middle(client, "gpu_service")
    result = wait(client, document)
    check(result, rows_of(client, document), THRESHOLD)
    assert result["data"]["shards"] == THRESHOLD // 100
    status = client.bucket("local-output").blob(f"status/{result['job']}.json").download_as_bytes()
    assert json.loads(status)["state"] == "done"


def test_a_task_of_the_job_is_killed_in_the_middle(stack: Stack, client: storage.Client) -> None:
    document = upload(client, "killed-task.csv", 3000)
    finished = kill_in_the_middle(client, "gpu_service.job")
    before = {name: client.bucket("local-work").get_blob(name).generation for name in finished}
    result = wait(client, document)
    check(result, rows_of(client, document), 3000)
    assert before == {name: client.bucket("local-work").get_blob(name).generation for name in finished}
    parent = "v2/projects/local-project/locations/us-central1/jobs/gpu-job"
    executions = httpx.get(f"{stack.http}/{parent}/executions").json()["executions"]
    assert any(execution.get("retriedCount", 0) > 0 for execution in executions)


def test_the_cut_job_is_killed_in_the_middle(stack: Stack, client: storage.Client) -> None:
    document = upload(client, "killed-cut.csv", 6000)
    kill_in_the_middle(client, "preprocessing.cut_job", cut=20)
    result = wait(client, document)
    check(result, rows_of(client, document), 6000)
    assert result["data"]["shards"] == 60
    parent = "v2/projects/local-project/locations/us-central1/jobs/cut-job"
    (execution,) = httpx.get(f"{stack.http}/{parent}/executions").json()["executions"]
    assert execution["retriedCount"] >= 1


def test_a_shard_that_always_fails_is_reported_and_replayed_alone(stack: Stack, client: storage.Client) -> None:
    with paused("gpu_service"):
        document = upload(client, "lost-shard.csv", 1000)
        give_up = time.monotonic() + 60
        while len(shards := unfinished_shards(client)[0]) < 10:
            assert time.monotonic() < give_up, "the batch was not cut"
            time.sleep(0.05)
        folder = shards[0].rpartition("/")[0]
        last = client.bucket("local-work").blob(f"{folder}/9.jsonl")
        content = last.download_as_bytes()
        last.delete()
    result = wait(client, document)
    assert result["status"] == "partial"
    assert [(lost["first"], lost["last"]) for lost in result["data"]["lost"]] == [(900, 999)]
    assert [row["error"] for row in rows_of(client, document)][900:] == ["object_not_found"] * 100
    assert result["data"]["failed"] == 100 + 900 // 50

    kept = {blob.name: blob.generation for blob in client.list_blobs("local-work", prefix=f"{folder}/")}
    last.upload_from_string(content)
    publisher = PublisherClient()
    message = json.dumps({"replay": {"partial": True, "prefix": document}}).encode()
    publisher.publish(publisher.topic_path("local-project", "messages"), message).result(timeout=20)
    result = wait(client, document, lambda content: "lost" not in content["data"])
    check(result, rows_of(client, document), 1000)
    assert [attempt["error"]["code"] for attempt in result["attempts"]] == ["object_not_found"]
    now = {blob.name: blob.generation for blob in client.list_blobs("local-work", prefix=f"{folder}/")}
    assert set(now) - set(kept) == {f"{folder}/9.jsonl", f"{folder}/9.out.csv"}
    assert kept
    assert {name: now[name] for name in kept} == kept
