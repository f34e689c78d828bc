"""Measures a sweep of finished uploads and a replay of failures in the emulator, beside the former algorithms.

PYTHONPATH=functions:functions/on_message python -m benchmarks.scale.recovery sweep --objects 1000000
PYTHONPATH=functions:functions/on_message python -m benchmarks.scale.recovery replay --objects 5000

Formerly, a sweep asked for the documents of each upload, and a replay started one failure after the other.
"""

import argparse
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.functions.cloud import cloud
from messaging import replay, replay_orders, restart, sweep
from pipeline import logs, settings, storage, times
from pipeline.deployment import Deployment
from pipeline.inputs.events import Receipt
from pipeline.inputs.uploads import Upload
from pipeline.jobs import documents, outcomes
from pipeline.jobs.claims import Claims
from pipeline.jobs.documents import Lineage
from pipeline.jobs.job import Input, Job, document_of_object, of_object

RECEIPT = Receipt("1", times.timestamp())
CONCURRENCY = 8  # of the former algorithms
TEXT = "What a wonderful film."
FIRST_GENERATION = 1_700_000_000_000_000


class Counted:
    """The storage requests of this process since the last reset, the seconds, and those of its processor.

    Args:
        latency: seconds added to each request, as those to Cloud Storage take longer than those to the emulator.
    """

    def __init__(self, latency: float = 0) -> None:
        self._lock, self._latency = threading.Lock(), latency
        self.reset()
        storage.client()._http.hooks["response"].append(self._count)

    def _count(self, *_: Any, **__: Any) -> None:
        with self._lock:
            self._requests += 1
        time.sleep(self._latency)

    def reset(self) -> None:
        self._requests, self._began, self._processor = 0, time.perf_counter(), time.process_time()

    def report(self, what: str, inputs: int) -> None:
        seconds, processor = time.perf_counter() - self._began, time.process_time() - self._processor
        print(
            f"{what}: {inputs:,} inputs, {self._requests:,} requests ({self._requests / inputs:.3f} each),"
            f" {seconds:.1f} s ({inputs / seconds:,.0f} a second), {1000 * processor / inputs:.1f} ms of CPU each",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sweep", "replay"))
    parser.add_argument("--objects", type=int, required=True)
    parser.add_argument("--formerly", type=int, help="of them with the former algorithm; all by default")
    parser.add_argument("--latency", type=float, default=0, help="seconds to add to each storage request of a replay")
    chosen = parser.parse_args()
    former = min(chosen.formerly or chosen.objects, chosen.objects)
    logs.logger.disabled = True
    with tempfile.TemporaryDirectory() as folder:
        if chosen.what == "sweep":
            measure_sweep(Path(folder), chosen.objects, former)
        else:
            measure_replay(Path(folder), chosen.objects, former, chosen.latency)


def measure_sweep(folder: Path, count: int, former: int) -> None:
    with deployed(folder) as deployment:
        deployment.input.blob(_name(0)).upload_from_string(TEXT, "text/plain")
        deployment.output.blob("results/first.json").upload_from_string("{}", "application/json")
    fill(next(folder.rglob("metadata.sqlite")), count)
    with deployed(folder) as deployment:
        counted = Counted()
        ask_for_each(deployment, former)
        counted.report("asking for each document", former)
        counted.reset()
        for verdict in carried_out(
            sweep.parse({"part": "uploads"}), lambda order: sweep.run(deployment, order, RECEIPT)
        ):
            assert not verdict.counts or not verdict.counts.get("started"), verdict
        counted.report("listing the documents", count)


def measure_replay(folder: Path, count: int, former: int, latency: float) -> None:
    with deployed(folder) as deployment:
        for algorithm, size in ((replay_one_by_one, former), (replay_together, count)):
            name = algorithm.__name__
            with ThreadPoolExecutor(CONCURRENCY) as pool:
                list(pool.map(fail, [deployment] * size, [f"{name}/{_name(number)}" for number in range(size)]))
            storage.client.cache_clear()
            counted = Counted(latency)
            started = algorithm(deployment, f"{name}/")
            assert started == size, f"{started} of {size}"
            counted.report(name.replace("_", " "), size)


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """The emulator with a workflow that ends immediately; its state stays in the folder."""
    with cloud(folder) as env:
        os.environ.update(env)
        storage.client.cache_clear()
        yield Deployment(settings.load(starts_executions=True))


def fill(database: Path, count: int) -> None:
    """Adds finished uploads like the two objects that are there."""
    with sqlite3.connect(database) as connection:
        for bucket, name in (("local-input", _name), ("local-output", _document)):
            kind, content, fields = connection.execute(
                "SELECT metageneration, content, fields FROM objects WHERE bucket = ?", (bucket,)
            ).fetchone()
            connection.execute("DELETE FROM objects WHERE bucket = ?", (bucket,))
            rows = ((bucket, name(n), FIRST_GENERATION + n, kind, 1, content, fields) for n in range(count))
            connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _name(number: int) -> str:
    return f"{number:07}.txt"


def _document(number: int) -> str:
    return f"results/{document_of_object(_name(number), FIRST_GENERATION + number)}.json"


def ask_for_each(deployment: Deployment, count: int) -> None:
    """The former algorithm: whether each upload has a document."""
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        blobs = islice(deployment.input.list_blobs(), count)
        found = pool.map(
            lambda blob: sweep.is_unfinished(deployment, restart.of_upload(deployment, Upload.of_blob(blob), RECEIPT)),
            blobs,
        )
        assert not any(found)


def carried_out(order: Any, carry_out: Callable[[Any], tuple[Any, Any]]) -> Iterator[Any]:
    """The verdicts of an order and of those that continue it."""
    while order is not None:
        verdict, order = carry_out(order)
        yield verdict


def fail(deployment: Deployment, name: str) -> None:
    """Leaves an upload whose execution failed."""
    blob = deployment.input.blob(name)
    blob.upload_from_string(TEXT, "text/plain")
    source = Input(blob.bucket.name, name, blob.generation, len(TEXT), "text/plain")
    id = of_object(source.bucket, name, source.generation)
    job = Job(id, document_of_object(name, source.generation), "0", times.timestamp(), source, "text")
    claims = Claims(deployment.work, 60)
    claim = claims.acquire(job)
    assert claim is not None
    claims.confirm(claim, job, f"executions/{id}")
    failure: documents.Failure = {"code": "http_503", "message": "It was down.", "step": "predict"}
    content = documents.failed(job, failure, Lineage(f"executions/{id}"), replay="")
    outcomes.settle(deployment, job, content)


def replay_one_by_one(deployment: Deployment, prefix: str) -> int:
    """The former algorithm: documents are read several at a time, and started one after the other."""
    order = replay_orders.Replay(prefix=prefix)
    started = 0
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        for blob, content in replay._read(pool, list(order.names(deployment.output)), "failed/v1"):
            assert content is not None
            reopened = outcomes.reopen(deployment.work, content["job"], blob.name, content)
            assert reopened is not None
            assert reopened.argument is not None
            lost = restart.of_argument(deployment, reopened.argument, RECEIPT)
            assert lost is not None
            started += restart.revive(deployment, lost) == "started"
    return started


def replay_together(deployment: Deployment, prefix: str) -> int:
    order = replay_orders.Replay(prefix=prefix, limit=None)
    verdicts = carried_out(order, lambda following: replay.run(deployment, following, RECEIPT))
    return sum(verdict.counts["started"] for verdict in verdicts)


if __name__ == "__main__":
    main()
