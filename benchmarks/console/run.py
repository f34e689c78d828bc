"""Measures the console at 100,000 inputs: CPU time of each page, memory, and how long a refresh takes.

`python -m benchmarks.console.run [--inputs 100000] [--listed 100000] [--save]`

The index is filled with rows of documents, as a refresh makes them, and each page is requested in this process, 20
times; CPU time says the same on a busy machine. A refresh is measured against the emulator, a process of its own whose
buckets hold `--listed` inputs with their documents: the first one, which reads every document, one that finds nothing
new, and one that finds one more input.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
from starlette.testclient import TestClient

from console.app import application
from console.index import rows
from console.index.refresh import Refresher
from console.index.store import Index
from emulator.server import Emulator
from emulator.stack.loader import load
from event_inference import Client, names
from event_inference.outcomes.documents import parse
from event_inference.targets import Target

PORT, TIMES = 9030, 20
RESULTS = Path(__file__).parents[1] / "results"
STACK = """
buckets: {local-input: {}, local-work: {}, local-output: {}, local-models: {}}
topics: [messages]
workflows: {inference: {source: workflow.yaml}}
"""
PAGES = {
    "newest first": "/",
    "page 1,000": "/?page=1000",
    "search in names and answers": "/?q=review-777",
    "least sure first": "/?sort=unsure",
    "failures of one code": "/?state=failed&code=http_503",
    "one label below 0.6": "/?label=POSITIVE&below=0.6",
    "problems by reason": "/problems",
    "review": "/review",
    "cost, what-if, recommendations": "/cost",
    "CSV of all": "/inputs.csv",
}


def main() -> None:
    options = _parse()
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder), options.listed) as (http, grpc):
        client = Client(target=Target.laptop(origin="benchmark", http=http, grpc=grpc))
        load = f"a load of {os.getloadavg()[0]:.1f} at the start"
        machine = f"{os.cpu_count()} cores with {load}, Python {platform.python_version()}"
        title = f"# The console\n\n`python -m benchmarks.console.run`, {machine}.\n"
        lines = [title, *pages(client, options.inputs), "", *refreshes(client, options.listed)]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.save:
        (RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-console.md").write_text(text)


def pages(client: Client, inputs: int) -> Iterator[str]:
    """A table of the server times of all pages, and the memory that they take."""
    index, process = Index(), psutil.Process()
    empty = process.memory_info().rss
    began = time.monotonic()
    batch = 5_000
    for start in range(0, inputs, batch):
        documents = [document(number) for number in range(start, min(start + batch, inputs))]
        index.put(row(name, content) for name, content in documents)
    filled = time.monotonic() - began
    served = TestClient(application(client, index, PORT), base_url=f"http://127.0.0.1:{PORT}")
    yield f"CPU time of the console's pages with {inputs:,} inputs in the index, {TIMES} requests each, in ms:\n"
    yield "| page | median | worst | KiB |\n|---|---:|---:|---:|"
    for name, path in PAGES.items():
        times, size = [], 0
        for _ in range(3 if path.endswith(".csv") else TIMES):
            started = time.process_time()
            answer = served.get(path)
            times.append((time.process_time() - started) * 1000)
            assert answer.status_code == 200, answer.text
            size = len(answer.content)
        yield f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} | {size / 1024:.0f} |"
    grown = (process.memory_info().rss - empty) / 2**20
    yield f"\nThe process grew by {grown:.0f} MiB meanwhile; the index was filled in {filled:.0f} s."
    index.close()


def row(name: str, content: dict[str, Any]) -> dict[str, Any]:
    return {**rows.of_document(parse(name, content)), "folder": name.partition("/")[0]}


def refreshes(client: Client, listed: int) -> Iterator[str]:
    """The times of refreshes, from an empty index on, and the memory that they take."""
    index, process = Index(), psutil.Process()
    refresher, empty = Refresher(client, index), process.memory_info().rss

    def refreshed() -> tuple[float, float]:
        """Seconds of CPU time, and elapsed."""
        cpu, began = time.process_time(), time.monotonic()
        refresher.refresh()
        return time.process_time() - cpu, time.monotonic() - began

    times = {"the first, after which the list is complete": refreshed()}
    rest = []
    while refresher.unread:
        rest.append(refreshed())
    times[f"the {len(rest)} that read the other documents"] = sum(cpu for cpu, _ in rest), sum(s for _, s in rest)
    times["one without changes"] = refreshed()
    client.submit(b"One more.", name="one-more.txt")
    times["one with one more input"] = refreshed()
    yield f"Refreshes with {listed:,} inputs and their documents in the emulator's buckets:\n"
    yield "| refresh | CPU time of the console, s | elapsed, s |\n|---|---:|---:|"
    for name, (cpu, elapsed) in times.items():
        yield f"| {name} | {cpu:.1f} | {elapsed:.1f} |"
    yield f"\nThe process grew by {(process.memory_info().rss - empty) / 2**20:.0f} MiB meanwhile."
    index.close()


def document(number: int) -> tuple[str, dict[str, Any]]:
    """A document as the pipeline writes it: 90 % results, 6 % rejections, 4 % failures."""
    chance = random.Random(number)
    folder = chance.choices(("results", "rejected", "failed"), (90, 6, 4))[0]
    name = f"texts/day-{number % 365:03}/review-{number}.txt"
    finished = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=number)
    score = chance.betavariate(8, 1)
    content: dict[str, Any] = {
        "schema": {"results": "result/v1"}.get(folder, f"{folder}/v1"),
        "status": {"results": "succeeded"}.get(folder, folder),
        "job": names.job("local-input", name, 1),
        "kind": "text",
        "input": {"bucket": "local-input", "name": name, "generation": "1", "size": 120, "content_type": "text/plain"},
        "timing": {
            "received_at": (finished - timedelta(seconds=chance.uniform(0.1, 3))).isoformat(),
            "finished_at": finished.isoformat(),
        },
        "lineage": {"event_id": "1", "execution": f"e{number}"},
    }
    if folder == "results":
        label = chance.choice(("POSITIVE", "NEGATIVE"))
        content |= {
            "model": {"name": "sentiment", "version": chance.choice("12")},
            "predictions": [{"label": label, "score": score}],
            "quality": {"confidence": score, "requires_review": score < 0.6},
            "cost": {"device": {"seconds": 0.002, "usd": 6e-07}, "total": {"usd": 0.000106, "parts": {}}},
        }
    elif folder == "rejected":
        content["reason"] = {"code": chance.choice(("empty", "too_large")), "message": "The input cannot be read."}
    else:
        content["error"] = {"code": chance.choice(("http_503", "timeout")), "message": "No answer.", "step": "predict"}
    return f"{folder}/{names.document(name, 1)}.json", content


@contextmanager
def filled(folder: Path, inputs: int) -> Iterator[tuple[str, str]]:
    """The addresses of an emulator in a process of its own, with inputs and their documents."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=serve, args=(folder, inputs, there))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join()


def serve(folder: Path, inputs: int, caller: Connection) -> None:
    """Run the emulator until the caller says that it is over."""
    with emulating(folder) as emulator:
        for number in range(inputs):
            name, content = document(number)
            uploaded = emulator.storage.objects.create("local-input", content["input"]["name"], b"x", {})
            name = name.replace("/1.json", f"/{uploaded.generation}.json")
            emulator.storage.objects.create("local-output", name, json.dumps(content).encode(), {})
        caller.send((emulator.http, emulator.grpc))
        caller.recv()


@contextmanager
def emulating(folder: Path) -> Iterator[Emulator]:
    """The emulator in a thread, its state in memory."""
    (folder / "stack.yaml").write_text(STACK)
    (folder / "workflow.yaml").write_text("main: {steps: [{end: {return: null}}]}")
    emulator = Emulator(load(folder / "stack.yaml"), services={})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(emulator.__aenter__(), loop).result(30)
        yield emulator
    finally:
        asyncio.run_coroutine_threadsafe(emulator.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="rows of the index")
    parser.add_argument("--listed", type=int, default=100_000, help="inputs in the emulator's buckets, for a refresh")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
