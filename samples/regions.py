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
INPUTS = 60
KILLED_AFTER = INPUTS // 3
PAUSE_S = 0.1
WAIT_S = 90.0


def stack_file(folder: Path) -> Path:
    """Writes the repository's local stack with the GPU service in two regions, with the same grants."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "local" / "stack.yaml").read_text(encoding="utf-8"))
    content["root"] = str(ROOT)
    content["env"]["GPU_REGIONS"] = ",".join(REGIONS)
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
    sent = [_send(client, model, number) for number in range(KILLED_AFTER)]
    with Outage(stack, FIRST):
        sent += [_send(client, model, number) for number in range(KILLED_AFTER, INPUTS)]
        documents = {handle.name: document for handle, document in client.wait(sent, timeout=WAIT_S)}
    found = [documents[handle.name] for handle in sent if handle.name in documents]
    before, during = found[:KILLED_AFTER], found[KILLED_AFTER:]
    served = [document for document in found if document.content.get("lineage", {}).get("region") == REGIONS[1]]
    failed = [document for document in found if not document.ok]
    console.print(
        f"Regions: {REGIONS[0]} was killed while {INPUTS} texts arrived. {INPUTS - len(found)} were lost, {len(failed)}"
        f" failed; {REGIONS[1]} answered {len(served)}. Seconds to a document: {_seconds(before)} before,"
        f" {_seconds(during)} without the region."
    )
    if len(found) < INPUTS or failed:
        return [f"{INPUTS - len(found)} inputs have no document and {len(failed)} failed when a region was killed"]
    return [] if served else [f"no input was answered by {REGIONS[1]}"]


def _send(client: Client, model: str, number: int) -> Handle:
    time.sleep(PAUSE_S)
    return client.submit(f"A wonderful film, number {number}.".encode(), name=f"regions/{number}.txt", model=model)


def _seconds(documents: list[Document]) -> str:
    latencies = [document.latency for document in documents]
    return f"{statistics.median(latencies):.1f} (slowest {max(latencies):.1f})"
