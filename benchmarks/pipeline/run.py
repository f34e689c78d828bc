"""Measures the pipeline on the local stack: upload to document for small texts, by hop, and sustained inputs/s.

    make benchmark-pipeline

Latency: sequential inputs on an idle stack, from the response to the upload to the document's creation time.
Rate: inputs uploaded as fast as a client can, from the first upload to the last document, and the processor time per
input of each part.
Operations: storage requests and workflow steps per input, counted on a second stack behind a proxy.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from benchmarks.pipeline.processes import spent
from benchmarks.pipeline.proxy import CountingProxy
from emulator.process import Stack

ROOT = Path(__file__).parents[2]
STACK = ROOT / "deploy" / "local" / "stack.yaml"
EXECUTIONS = "v1/projects/local-project/locations/us-central1/workflows/inference/executions"
CALLS = ("predict_once", "write_once")
PARTS_OF_STEPS = ("STEP_CONDITION", "STEP_TRY")
TEXT = "The plot is thin, but the cast is charming and the music lovely; I left the cinema smiling."


@dataclass(frozen=True)
class Sent:
    name: str
    generation: int
    at: float

    @property
    def document(self) -> str:
        return f"results/{self.name}/{self.generation}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--singles", type=int, default=100)
    parser.add_argument("--sustained", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with Stack(Path(folder) / "plain") as stack:
            client = connect(stack.start().http)
            drive(client, 10)
            report_latency(stack, client, drive(client, options.singles))
            report_rate(stack, client, options.sustained)
        asyncio.run(report_operations(Path(folder)))


def connect(http: str) -> storage.Client:
    os.environ["STORAGE_EMULATOR_HOST"] = http
    return storage.Client(project="local-project", credentials=AnonymousCredentials())


def upload(client: storage.Client, number: int) -> Sent:
    blob = client.bucket("local-input").blob(f"bench/{time.time_ns()}-{number}.txt")
    blob.upload_from_string(TEXT, "text/plain")
    return Sent(blob.name, blob.generation, time.time())


def drive(client: storage.Client, count: int) -> list[tuple[Sent, storage.Blob]]:
    """Sends inputs one after the other and returns each with its document's object."""
    done = []
    for number in range(count):
        sent = upload(client, number)
        done.append((sent, wait(client, sent)))
    return done


def wait(client: storage.Client, sent: Sent) -> storage.Blob:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        blob: storage.Blob | None = client.bucket("local-output").get_blob(sent.document)
        if blob:
            return blob
        time.sleep(0.01)
    raise TimeoutError(f"no {sent.document} within 60 s")


def report_latency(stack: Stack, client: storage.Client, done: list[tuple[Sent, storage.Blob]]) -> None:
    hops: dict[str, list[float]] = {}
    for sent, blob in done:
        for hop, seconds in by_hop(stack, client, sent, blob):
            hops.setdefault(hop, []).append(1000 * seconds)
    print(f"{len(done)} small texts, one after the other; milliseconds")
    for hop, values in hops.items():
        values.sort()
        print(f"  {hop:<34} p50 {statistics.median(values):7.1f}  p99 {values[int(len(values) * 0.99)]:7.1f}")


def by_hop(stack: Stack, client: storage.Client, sent: Sent, blob: storage.Blob) -> Iterator[tuple[str, float]]:
    document = json.loads(blob.download_as_bytes())
    timing = {key: moment(value) for key, value in document["timing"].items() if isinstance(value, str)}
    created = moment(client.bucket("local-input").get_blob(sent.name).time_created)
    written = moment(blob.time_created)
    model = document["timing"]["inference_ms"] / 1000
    yield "upload to document", written - created
    yield "  of it beyond the model", written - created - model
    yield "delivery of the event", timing["received_at"] - created
    yield "handler, to the execution's start", timing["started_at"] - timing["received_at"]
    for step in steps(stack, document["lineage"]["execution"]):
        if step["stepType"] == "STEP_CALL" and step["step"] in CALLS:
            yield f"workflow step {step['step']}", moment(step["updateTime"]) - moment(step["createTime"])
    yield "model", model


def steps(stack: Stack, execution: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{stack.http}/{EXECUTIONS}/{execution}/stepEntries", params={"pageSize": 100})
    entries: list[dict[str, Any]] = answer.raise_for_status().json()["stepEntries"]
    return entries


def moment(value: str | datetime) -> float:
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).timestamp()


def report_rate(stack: Stack, client: storage.Client, count: int) -> None:
    before, own = spent(stack.pid), time.process_time()
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda number: upload(client, number), range(count)))
        uploaded = time.perf_counter() - began
        for item in sent:
            wait(client, item)
    seconds = time.perf_counter() - began
    print(f"{count} small texts together: uploaded in {uploaded:.1f} s, all documents after {seconds:.1f} s")
    print(f"  {count / seconds:.1f} inputs/s")
    used = {part: processor - before.get(part, 0) for part, processor in spent(stack.pid).items()}
    used["this client"] = time.process_time() - own
    print(f"  {1000 * sum(used.values()) / count:.1f} ms of processor time each, of it")
    for part, processor in sorted(used.items(), key=lambda item: -item[1]):
        print(f"  {1000 * processor / count:7.1f}  {part}")


async def report_operations(folder: Path, count: int = 20) -> None:
    async with CountingProxy() as proxy:
        with proxied_stack(folder, proxy) as stack:
            proxy.target = (await asyncio.to_thread(stack.start)).http
            client = connect(stack.http)
            await asyncio.to_thread(drive, client, 5)
            proxy.seen.clear()
            done = await asyncio.to_thread(drive, client, count)
            operations = Counter(proxy.seen)
            document = json.loads(done[-1][1].download_as_bytes())
            taken = [step["stepType"] for step in steps(stack, document["lineage"]["execution"])]
    whole = sum(kind not in PARTS_OF_STEPS for kind in taken)
    print(f"for one small text: {sum(operations.values()) / count:.1f} storage requests, {whole} workflow steps")
    print(f"  ({len(taken)} step entries with the conditions of switches and the bodies of try)")
    for operation, number in operations.most_common():
        print(f"  {number / count:4.1f}  {operation}")


@contextmanager
def proxied_stack(folder: Path, proxy: CountingProxy) -> Iterator[Stack]:
    """The same stack, with its services' storage requests through the proxy."""
    description = yaml.safe_load(STACK.read_text())
    description["root"] = str(ROOT)
    description["env"]["STORAGE_EMULATOR_HOST"] = proxy.url
    file = folder / "stack.yaml"
    file.write_text(yaml.safe_dump(description))
    with Stack(folder / "proxied", stack=file) as stack:
        yield stack


if __name__ == "__main__":
    main()
