"""The task of a batch, in this process and in its own, against the emulated store."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from gpu_service import job
from gpu_service.errors import ServiceError, StartError
from gpu_service.settings import Settings
from gpu_service.shards.batch import Batch
from gpu_service.shards.batch_prediction import BatchPrediction

ROOT = Path(__file__).parents[2]
PER_SHARD = 3


class StoredBatch:
    """A batch in the store; `shards/NAME/0.jsonl` and so on."""

    def __init__(self, gcs: storage.Client, name: str) -> None:
        self.bucket = gcs.bucket("work")
        self.prefix = f"shards/{name}/"
        self.uri = f"gs://work/{self.prefix}index.json"

    def put(self, shards: int, *, records: int = PER_SHARD, **index: Any) -> str:
        for number in range(shards):
            lines = [{"text": "a good film" if n % 2 else "dull", "id": n, "row": [str(n)]} for n in range(records)]
            self.upload(f"{number}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        described = {"prefix": f"gs://work/{self.prefix}", "shards": shards, "records": shards * records}
        parts = {"records_per_shard": records, "format": "jsonl", "model": None, "parameters": {}}
        self.upload("index.json", json.dumps({**described, **parts, **index}))
        return self.uri

    def upload(self, name: str, content: str) -> None:
        self.bucket.blob(self.prefix + name).upload_from_string(content)

    def outputs(self) -> dict[str, int]:
        """The finished outputs, all complete, and their generations."""
        generations = {}
        for blob in self.bucket.list_blobs(prefix=self.prefix):
            if ".out." in blob.name:
                assert blob.download_as_bytes().count(b"\n") == json.loads(blob.metadata["shard-summary"])["records"]
                generations[blob.name.removeprefix(self.prefix)] = blob.generation
        return generations


@pytest.fixture
def batch(gcs: storage.Client, request: pytest.FixtureRequest) -> StoredBatch:
    return StoredBatch(gcs, request.node.name)


@pytest.fixture
def run(models_file: Path) -> Callable[..., int]:
    settings = Settings(profile="test", models=models_file, device="cpu", input_bucket="input", work_bucket="work")

    def run(uri: str, number: int = 0, count: int = 1) -> int:
        return job.run(settings, job.Task(uri, number, count))

    return run


def test_a_task_loads_the_models_of_its_batch_and_no_others(
    batch: StoredBatch, run: Callable[..., int], caplog: pytest.LogCaptureFixture
):
    def loaded(uri: str) -> set[str]:
        caplog.clear()
        with caplog.at_level("INFO"):
            assert run(uri) == 0
        (ready,) = (record for record in caplog.records if record.getMessage() == "ready")
        return set(ready.fields["costs"])  # type: ignore[attr-defined]

    assert loaded(batch.put(1, model={"name": "moods", "version": "1"})) == {"moods@1"}
    assert loaded(batch.put(1, format="csv", model={"name": "moods"})) == {"moods@2"}
    assert loaded(batch.put(1, format="csv")) == {"moods@2", "shapes@1"}


def test_tasks_share_the_shards_of_a_batch(batch: StoredBatch, run: Callable[..., int]):
    uri = batch.put(5, format="csv", model={"name": "moods", "version": "1"}, parameters={"top_k": 1})
    assert run(uri, 1, 2) == 0
    assert batch.outputs().keys() == {"1.out.csv", "3.out.csv"}
    assert run(uri, 0, 2) == 0
    assert len(batch.outputs()) == 5
    last = batch.bucket.blob(f"{batch.prefix}4.out.csv")
    rows = [line.split(",") for line in last.download_as_bytes().decode().splitlines()]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert all(row[1].startswith("LABEL_") and 0 < float(row[2]) <= 1 and row[3] == "" for row in rows)
    last.reload()
    assert last.metadata["shard-offset"] == str(4 * PER_SHARD)
    assert re.fullmatch(r"moods@1#[0-9a-f]{32}", last.metadata["shard-model"])
    assert json.loads(last.metadata["shard-summary"])["model"]["name"] == "moods"


def test_a_task_without_shards_loads_nothing_and_succeeds(batch: StoredBatch, run: Callable[..., int]):
    assert run(batch.put(2), 2, 3) == 0
    assert batch.outputs() == {}


def test_one_bad_shard_is_reported_and_the_others_are_written(
    batch: StoredBatch, run: Callable[..., int], caplog: pytest.LogCaptureFixture
):
    uri = batch.put(4)
    batch.bucket.blob(f"{batch.prefix}1.jsonl").delete()
    caplog.set_level("INFO", "gpu_service")
    assert run(uri) == 1
    first = batch.outputs()
    assert first.keys() == {"0.out.jsonl", "2.out.jsonl", "3.out.jsonl"}
    ended = next(record for record in caplog.records if record.getMessage() == "the task ended").fields
    assert (ended["written"], ended["kept"], ended["failed_shards"]) == (3, 0, [1])
    assert (ended["records"], ended["failed"]) == (9, {})
    assert not any("good film" in record.getMessage() + str(vars(record)) for record in caplog.records)

    caplog.clear()
    batch.upload("1.jsonl", '"good"\n"bad"\n')
    assert run(uri) == 0
    second = batch.outputs()
    assert {name: second[name] for name in first} == first
    ended = next(record for record in caplog.records if record.getMessage() == "the task ended").fields
    assert (ended["written"], ended["kept"], ended["records"]) == (1, 3, 11)
    assert second.keys() - first.keys() == {"1.out.jsonl"}


@pytest.mark.parametrize(("refusals", "failed", "pauses"), [(2, [], [1, 2]), (99, [1], [1, 2, 4])])
def test_transient_failures_are_retried(
    batch: StoredBatch, client: Any, refuse: Callable[..., None], refusals: int, failed: list[int], pauses: list[float]
):
    batch.put(3)
    refuse(f"{batch.prefix}1.jsonl", refusals)
    waited = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    index = Batch(f"gs://work/{batch.prefix}", 3, 3 * PER_SHARD, PER_SHARD)
    report = client.runner.run(BatchPrediction(client.app.service, index, pause=pause).run(range(3)))
    assert (report.failed, waited) == (failed, pauses)
    assert len(batch.outputs()) == report.written == 3 - len(failed)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{}", "is not a valid index"),
        ("not json", "is not a valid index"),
        (None, "There is no object"),
        ('{"prefix": "gs://work/x/", "shards": -1, "records": 0, "records_per_shard": 1}', "is not a valid index"),
    ],
)
def test_a_batch_that_cannot_be_started(batch: StoredBatch, run: Callable[..., int], content: str | None, reason: str):
    if content is not None:
        batch.upload("index.json", content)
    with pytest.raises(ServiceError, match=reason):
        run(batch.uri)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"BATCH_INDEX": "gs://work/i", "CLOUD_RUN_TASK_INDEX": "2", "CLOUD_RUN_TASK_COUNT": "2"},
        {"BATCH_INDEX": "gs://work/i", "CLOUD_RUN_TASK_INDEX": "-1"},
        {"BATCH_INDEX": "gs://work/i", "CLOUD_RUN_TASK_COUNT": "two"},
    ],
)
def test_an_invalid_task(environ: dict[str, str]):
    with pytest.raises(StartError):
        job.Task.read(environ)


def test_cloud_run_sets_the_number_of_the_task():
    environ = {"BATCH_INDEX": "gs://work/i", "CLOUD_RUN_TASK_INDEX": "1", "CLOUD_RUN_TASK_COUNT": "3"}
    assert list(job.Task.read(environ).shards(8)) == [1, 4, 7]
    assert list(job.Task.read({"BATCH_INDEX": "gs://work/i"}).shards(3)) == [0, 1, 2]


def started(models: Path, **env: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "gpu_service.job", "--models", str(models), "--profile", "test", "--device", "cpu"]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "WORK_BUCKET": "work", **env}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environ, **pipes)


def test_sigterm_leaves_no_partial_output_and_the_next_attempt_continues(
    batch: StoredBatch, run: Callable[..., int], models_file: Path
):
    process = started(models_file, BATCH_INDEX=batch.put(40, records=200))
    try:
        while not batch.outputs():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in process.communicate(timeout=30)[0].splitlines()]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + signal.SIGTERM
    assert lines[-1]["message"] == "the task received SIGTERM"
    first = batch.outputs()
    assert 0 < len(first) < 40
    assert run(batch.uri) == 0
    second = batch.outputs()
    assert len(second) == 40
    assert {name: second[name] for name in first} == first


def test_a_process_without_a_batch_logs_the_reason(models_file: Path, store: str):
    process = started(models_file, STORAGE_EMULATOR_HOST=store, BATCH_INDEX="gs://elsewhere/shards/b/index.json")
    (line,) = map(json.loads, process.communicate(timeout=30)[0].splitlines())
    assert process.returncode == 1
    assert (line["severity"], "elsewhere" in line["message"]) == ("ERROR", True)
