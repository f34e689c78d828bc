"""Measures many small texts with their own executions and in micro-batches: executions, workflow step entries and
storage requests per input, and the time from the first upload to the last document.

    .venv/bin/python -m benchmarks.pipeline.together --inputs 200
"""

import argparse
import asyncio
import base64
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import yaml
from google.cloud import storage

from benchmarks.pipeline.proxy import CountingProxy
from benchmarks.pipeline.run import EXECUTIONS, ROOT, STACK, connect, steps, upload
from deploy.local import iam
from emulator.process import Stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=200)
    count = parser.parse_args().inputs
    with tempfile.TemporaryDirectory() as folder:
        for together in (False, True):
            asyncio.run(report(Path(folder, str(together)), count, together=together))


async def report(folder: Path, count: int, *, together: bool) -> None:
    async with CountingProxy() as proxy:
        with described(folder, proxy, together=together) as stack:
            proxy.target = (await asyncio.to_thread(stack.start)).http
            client = connect(stack.http)
            if together:
                client.bucket("local-input").notification(
                    "uploads", "local-project", payload_format="JSON_API_V1"
                ).create()
            await asyncio.to_thread(drive, stack, client, 5, together=together)
            before = executions(stack)
            proxy.seen.clear()
            seconds = await asyncio.to_thread(drive, stack, client, count, together=together)
            await asyncio.sleep(2)  # until the last executions have ended
            started = executions(stack) - before
            entries = sum(len(steps(stack, name)) for name in started)
    print(f"{count} small texts, {'micro-batches' if together else 'an execution each'}: {len(started)} executions,")
    print(f"  per input {entries / count:.2f} workflow step entries, {len(proxy.seen) / count:.2f} storage requests")
    print(f"  all documents after {seconds:.1f} s")
    for operation, number in Counter(proxy.seen).most_common():
        print(f"  {number / count:6.2f}  {operation}")


def described(folder: Path, proxy: CountingProxy, *, together: bool) -> Stack:
    """The local stack, with its services' storage requests through the proxy."""
    description = yaml.safe_load(STACK.read_text()) | {"root": str(ROOT)}
    description["env"]["STORAGE_EMULATOR_HOST"] = proxy.url
    if together:
        del description["triggers"]["on-upload"]
        description["iam"] = {"grants": iam.grants(micro_batching=True)}
    folder.mkdir()
    file = folder / "stack.yaml"
    file.write_text(yaml.safe_dump(description))
    return Stack(folder / "data", stack=file)


def drive(stack: Stack, client: storage.Client, count: int, *, together: bool) -> float:
    """Uploads as fast as a client can and returns the seconds until all documents exist."""
    done, began = documents(client), time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: upload(client, number), range(count)))
    if together:
        order(stack)
    while documents(client) < done + count:
        if time.perf_counter() > began + 300:
            raise TimeoutError(f"{documents(client) - done} of {count} documents")
        time.sleep(0.1)
    return time.perf_counter() - began


def order(stack: Stack) -> None:
    """Publishes the scheduler's message."""
    body = {"messages": [{"data": base64.b64encode(b'{"collect": {}}').decode()}]}
    httpx.post(f"{stack.http}/v1/projects/local-project/topics/messages:publish", json=body).raise_for_status()


def documents(client: storage.Client) -> int:
    return sum(1 for _ in client.list_blobs("local-output", prefix="results/", fields="items(name),nextPageToken"))


def executions(stack: Stack) -> set[str]:
    names: set[str] = set()
    parameters = {"pageSize": "1000"}
    while True:
        answer = httpx.get(f"{stack.http}/{EXECUTIONS}", params=parameters).raise_for_status().json()
        names |= {execution["name"].rpartition("/")[2] for execution in answer.get("executions", [])}
        if not answer.get("nextPageToken"):
            return names
        parameters["pageToken"] = answer["nextPageToken"]


if __name__ == "__main__":
    main()
