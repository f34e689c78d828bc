"""A flood of uploads on the local stack: few executions, every document, no dead letter."""

import contextlib
import itertools
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from google.cloud import storage

from emulator.process import Stack
from pipeline.jobs.quotas import OF_SHAREABLE
from tests.stack import changed

ROOT = Path(__file__).parents[2]
EXECUTIONS = "v1/projects/local-project/locations/us-central1/workflows/inference/executions"
INPUTS = int(os.environ.get("FLOOD_INPUTS", "300"))
CAP = max(100, INPUTS // 10)
COLLECTED_EVERY_S = 60  # by the schedule
RUN_S = 30  # to take up to 1,000 inputs up and start them
INTAKE = ("on-upload", "on-message")
GROWTH, GROWTH_MIB = 1.25, 64  # of memory: the first micro-batch may come late

pytestmark = [pytest.mark.stack, pytest.mark.release, pytest.mark.timeout(120 + INPUTS)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The local stack with a tenth of the executions that the inputs would need."""
    content = changed.description()
    for name in ("on-upload", "on-message"):
        content["services"][name].setdefault("env", {})["MAX_EXECUTIONS_PER_HOUR"] = str(CAP)
    content["retention"] = {"log_mb": 10_000}  # all lines are read at the end
    with changed.started(tmp_path, content) as running:
        yield running


def test_every_input_of_a_flood_gets_its_document_from_the_next_collection_in_flat_memory(
    stack: Stack, client: storage.Client
):
    bucket = client.bucket("local-input")
    memory = Memory(stack)
    with ThreadPoolExecutor(17) as pool:
        uploads = [pool.submit(upload, bucket, number) for number in range(INPUTS)]
        documents = pool.submit(wait_for_documents, client, memory)
        for uploaded in uploads:
            uploaded.result()
        assert documents.result() == {"results": INPUTS}
    started = executions(stack)
    kinds = Counter(json.loads(execution["argument"])["kind"] for execution in started)
    hours = len({execution["createTime"][:13] for execution in started})  # each with executions of its own
    assert kinds["text"] <= hours * CAP * OF_SHAREABLE
    assert kinds["microbatch"] >= 1
    assert sum(kinds.values()) <= hours * CAP
    assert list(client.list_blobs("local-work", prefix="waiting/")) == []
    assert refused(stack) == [], "what the cap leaves no execution of its own waits, but for no sweep of another hour"
    waits = waited(stack, {execution["name"]: moment(execution["createTime"]) for execution in started})
    assert len(waits) == INPUTS - kinds["text"]
    longest = max(begun - due for due, begun in waits)
    assert longest <= COLLECTED_EVERY_S + collecting(waits)
    assert memory.grown() == {}
    print(f"{kinds}; the longest wait took {longest:.0f} s; MiB {memory}")


def upload(bucket: storage.Bucket, number: int) -> None:
    bucket.blob(f"{number}.txt").upload_from_string(f"A fine film, says viewer {number}.", "text/plain")


def wait_for_documents(client: storage.Client, memory: "Memory") -> Counter[str]:
    """The documents by folder, once there is one for each input and the next collection has had its turn."""
    give_up = time.monotonic() + COLLECTED_EVERY_S + INPUTS
    while time.monotonic() < give_up:
        folders = Counter(
            blob.name.partition("/")[0]
            for folder in ("results", "rejected", "failed")
            for blob in client.list_blobs("local-output", prefix=f"{folder}/", fields="items(name),nextPageToken")
        )
        memory.measure(folders.total())
        if folders.total() >= INPUTS and not list(client.list_blobs("local-work", prefix="waiting/", max_results=1)):
            return folders
        time.sleep(max(1.0, INPUTS / 2000))  # listing them all takes its time, too
    raise AssertionError(f"{folders} instead of {INPUTS} documents")


def executions(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    parameters = {"pageSize": "1000", "view": "FULL"}
    while True:
        answer = httpx.get(f"{stack.http}/{EXECUTIONS}", params=parameters, timeout=60).raise_for_status().json()
        found += answer["executions"]
        if not answer.get("nextPageToken"):
            return found
        parameters["pageToken"] = answer["nextPageToken"]


def refused(stack: Stack) -> list[dict[str, Any]]:
    return [line for name in INTAKE for line in logged(stack, name) if line["message"] == "throttled"]


def waited(stack: Stack, begun: Mapping[str, float]) -> list[tuple[float, float]]:
    """For each input that a collection has started, when it began to wait and when its execution was created."""
    lines = (line for line in logged(stack, "on-message") if line["message"] == "accepted" and "due" in line)
    return [(moment(line["due"]), begun[line["execution"]]) for line in lines]


def collecting(waits: Sequence[tuple[float, float]]) -> float:
    """The most seconds for the inputs that wait at the same moment, at half the pace at which all were collected."""
    changes = sorted([(due, 1) for due, _ in waits] + [(begun, -1) for _, begun in waits])
    most = max(itertools.accumulate(change for _, change in changes))
    first, last = (choose(begun for _, begun in waits) for choose in (min, max))
    return RUN_S + 2 * (last - first) * most / len(waits)


def logged(stack: Stack, service: str) -> Iterator[dict[str, Any]]:
    with (stack.data / "logs" / f"{service}.log").open() as log:
        yield from (json.loads(line) for line in log if line.startswith("{"))


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class Memory:
    """The most memory of any process of each service, until a quarter of the documents exist and afterwards."""

    def __init__(self, stack: Stack) -> None:
        self._emulator = psutil.Process(stack.pid)
        self._peaks: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def measure(self, documents: int) -> None:
        is_later = documents > INPUTS / 4
        for process in (self._emulator, *self._emulator.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # it has just ended
                peaks = self._peaks[process.environ().get("K_SERVICE", "emulator")]
                peaks[is_later] = max(peaks[is_later], process.memory_info().rss / 2**20)

    def grown(self) -> dict[str, list[float]]:
        """The services whose memory is not flat, with both peaks in MiB."""
        return {name: peaks for name, peaks in self._peaks.items() if peaks[1] > GROWTH * peaks[0] + GROWTH_MIB}

    def __str__(self) -> str:
        return ", ".join(f"{name} {first:.0f} → {later:.0f}" for name, (first, later) in self._peaks.items())
