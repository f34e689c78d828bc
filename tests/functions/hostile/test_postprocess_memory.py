"""postprocess with the largest batches, micro-batches and answers, at the memory and concurrency of its deployment."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from pipeline.inputs import microbatches
from pipeline.inputs.events import Receipt
from pipeline.jobs.batches import Batch, Names
from pipeline.jobs.job import Job
from preprocessing.records import MAX_LINE_CHARS
from tests.functions import gpu
from tests.functions.cloud import Cloud
from tests.functions.hostile.test_hostile import deployed, work
from tests.functions.test_postprocess import LINEAGE, argument

MIB = 1 << 20
SHARDS = 3  # the first finished, the others lost
STEP = {"step": "predict", "status": 500, "code": "inference_failed", "message": "The model failed."}
SPECIAL = "\N{CLAPPER BOARD}"  # 12 bytes of JSON, and 4 bytes of memory for each character of its text

LINES = {
    "longest texts": [{"text": SPECIAL * (MAX_LINE_CHARS - 20), "id": "a"}],
    "longest ids": [{"text": "a", "id": SPECIAL * (MAX_LINE_CHARS - 20)}],
    "longest addresses": [{"uri": "gs://" + SPECIAL * (MAX_LINE_CHARS - 20)}],
    "many": [{"text": "a film", "id": number} for number in range(20_000)],
}


def send(cloud: Cloud, folder: Path, bodies: list[dict[str, Any]]) -> list[Any]:
    """Concludes them concurrently, as many at a time as the deployment allows."""
    memory, concurrency = deployed("postprocess")
    requests = []
    for index, body in enumerate(bodies):
        (folder / str(index)).write_text(json.dumps(body))
        requests.append({"file": str(folder / str(index)), "headers": {"Content-Type": "application/json"}})
    worker = work(cloud, "postprocess", requests, concurrency)
    assert [status for status, _, _ in worker.answers] == [200] * len(bodies), worker.answers
    assert worker.peak < memory
    return [answer for _, answer, _ in worker.answers]


def batch_of(cloud: Cloud, arg: dict[str, Any], source: storage.Blob, records: int) -> dict[str, Any]:
    """A batch whose first shard has its output, and whose others are copies of the source."""
    names = Names.of(arg["job"])
    batch = Batch(f"gs://{cloud.work.name}/{names.folder}", SHARDS, SHARDS * records, records, "jsonl")
    cloud.work.blob(names.input(0)).upload_from_string('{"text": "a"}\n' * records)
    for shard in range(1, SHARDS):
        cloud.work.copy_blob(source, cloud.work, names.input(shard))
    gpu.predict(cloud, batch.json(), 0)
    return batch.json()


@pytest.mark.release
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LINES)
def test_lost_shards_of_the_largest_records(cloud: Cloud, tmp_path: Path, name: str) -> None:
    bodies, records = [], len(LINES[name])
    source = cloud.work.blob("source")
    source.upload_from_string("".join(json.dumps(line) + "\n" for line in LINES[name]))
    for number in range(deployed("postprocess")[1]):
        arg = argument(cloud, f"{number}.jsonl", "{}", "records")
        batch = batch_of(cloud, arg, source, records) | {"errors": [STEP]}
        bodies.append({"argument": arg, "batch": batch, "lineage": LINEAGE})
    answers = send(cloud, tmp_path, bodies)
    assert {answer["status"] for answer in answers} == {"partial"}
    for document in cloud.documents().values():
        assert (document["data"]["records"], document["data"]["succeeded"]) == (SHARDS * records, records)


@pytest.mark.release
@pytest.mark.timeout(300)
def test_answers_and_micro_batches(cloud: Cloud, tmp_path: Path) -> None:
    """The largest answers that a workflow can hand on, and micro-batches of as many members as one may have."""
    scores = {f"label {number}": 0.0001 for number in range(1000)}
    prediction = {"label": "label 1", "score": 0.0001, "scores": scores}
    good = {"predictions": [prediction] * 60, "model": gpu.MODEL}
    assert MIB < len(json.dumps(good)) < 2 * MIB, "of a workflow's responses"
    bodies: list[dict[str, Any]] = []
    for number in range(4):
        arg = argument(cloud, f"{number}.json", "{}", "records")
        bodies.append({"argument": arg, "prediction": good, "lineage": LINEAGE})
    micro, batch = microbatch(cloud, prediction)
    bodies.append({"argument": micro, "lineage": LINEAGE, "batch": batch})
    answers = send(cloud, tmp_path, bodies)
    assert answers[-1]["members"] == {"succeeded": 1000}


def microbatch(cloud: Cloud, prediction: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The argument and batch of a micro-batch of a thousand members with a prediction each."""
    members = []
    for number in range(1000):
        name = f"m/{number}.txt"
        members.append(Job.parse(argument(cloud, name, "a", "text")))
    job = microbatches.write(cloud.work, members, Receipt("1", "2026-01-01T12:00:00Z"))
    names = Names.of(job.id)
    batch = Batch(f"gs://{cloud.work.name}/{names.folder}", 1, 1000, 1000, "jsonl")
    output = cloud.work.blob(batch.output(0))
    output.metadata = {"shard-summary": json.dumps({"records": 1000, "failed": {}, "model": gpu.MODEL})}
    lines = [json.dumps({"index": n, "id": member.id, **prediction}) for n, member in enumerate(members)]
    output.upload_from_string("\n".join(lines))
    return dict(job.argument()), batch.json()
