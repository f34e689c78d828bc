"""A second region of the GPU service on this machine, and what becomes of inputs while the first one is down."""

import contextlib
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import yaml
from rich.console import Console

from emulator.process import Stack
from event_inference import Client, Document, Handle

ROOT = Path(__file__).parents[1]
REGIONS = ("us-central1", "europe-west4")
FIRST, SECOND = "gpu-service", "gpu-service-2"
BEFORE, DURING = 20, 100  # texts that are sent before and after the region is killed
PAUSE_S = 0.2
WAIT_S = 90.0


def stack_file(folder: Path) -> Path:
    """Writes the repository's local stack with the GPU service in two regions, with the same grants."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "local" / "stack.yaml").read_text(encoding="utf-8"))
    content["root"] = str(ROOT)
    content["env"] |= {
        "GPU_REGIONS": ",".join(REGIONS),
        "GPU_REGION_WEIGHTS": "1,0",
    }  # the second stands in for the first
    content["services"][SECOND] = {**content["services"][FIRST], "port": 9029}
    content["workflows"]["inference"]["env"]["GPU_SERVICE_URL"] = f"{{{FIRST}.url}},{{{SECOND}.url}}"
    grants = yaml.safe_load((ROOT / content["iam"]["file"]).read_text(encoding="utf-8"))
    content["iam"]["grants"] += _of_second(grants)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "stack.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


def _of_second(grants: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    for grant in grants:
        if grant["member"] == FIRST:
            yield {**grant, "member": SECOND}
        if grant["resource"] == f"service/{FIRST}":
            yield {**grant, "resource": f"service/{SECOND}"}


class Outage:
    """Kills a service until the end of the block, again as often as the emulator starts it."""

    def __init__(self, stack: Stack, service: str) -> None:
        self._stack, self._service, self._ended = stack, service, threading.Event()
        self._killing = threading.Thread(target=self._keep_down)

    def _keep_down(self) -> None:
        while True:
            for process in psutil.Process(self._stack.pid).children():
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    if process.environ().get("K_SERVICE") == self._service:
                        os.killpg(process.pid, signal.SIGKILL)
            if self._ended.wait(0.05):
                return

    def __enter__(self) -> Self:
        self._killing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._killing.join()


def lose_one(client: Client, stack: Stack, model: str, console: Console) -> list[str]:
    """Kills the first region while texts arrive; says what was lost and what latency it added, returns mistakes."""
    sent = [_send(client, model, number) for number in range(BEFORE)]
    with Outage(stack, FIRST):
        sent += [_send(client, model, number) for number in range(BEFORE, BEFORE + DURING)]
        documents = {handle.name: document for handle, document in client.wait(sent, timeout=WAIT_S)}
    answered = [documents[handle.name] for handle in sent if handle.name in documents and documents[handle.name].ok]
    elsewhere = [document for document in answered if document.content["lineage"].get("region") == REGIONS[1]]
    failed, lost = len(documents) - len(answered), len(sent) - len(documents)
    console.print(
        f"Regions: {REGIONS[0]} was killed while texts arrived. Of {len(sent)}, {lost} were lost and {failed} failed;"
        f" {REGIONS[1]} answered {len(elsewhere)}."
    )
    if lost or failed:
        return [f"{lost} texts have no document and {failed} failed when a region was killed"]
    console.print(_added(answered))
    return [] if elsewhere else [f"{REGIONS[1]} answered nothing"]


def _send(client: Client, model: str, number: int) -> Handle:
    time.sleep(PAUSE_S)
    return client.submit(f"A wonderful film, number {number}.".encode(), name=f"regions/{number}.txt", model=model)


def _added(documents: list[Document]) -> str:
    """What the outage added to the latency of texts in the order in which they were sent."""
    seconds = [document.latency for document in documents]
    usual, at_first, at_last = map(
        statistics.median, (seconds[:BEFORE], seconds[BEFORE : 2 * BEFORE], seconds[-BEFORE:])
    )
    return (
        f"Latency: {usual:.2f} s before; {at_first - usual:.2f} s are added at first, by attempts that fail, and"
        f" {max(0.0, at_last - usual):.2f} s once the circuit is known to be open. The slowest: {max(seconds):.1f} s."
    )
