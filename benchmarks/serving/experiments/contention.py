"""Who gets the processor on a busy machine: servers in turns beside hogs, and the ways to compute a batch.

    python -m benchmarks.serving.experiments.contention [--rounds 2] [--seconds 14] [--groups] [--ways 150]

For each server: answers per second, cores used, and threads that ran or waited for a core. With --groups (root on Linux
with cgroup v1), server and hogs have a control group each, of equal weight.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.serving import models, peers, process
from benchmarks.serving.peers import Peer
from benchmarks.serving.run import Durations, closed

SERVERS = "gpu_service,fastapi"
MODEL, CLIENTS, WARMUP_S, SAMPLE_S = "large", 32, 4.0, 0.05
GROUPS = Path("/sys/fs/cgroup/cpu")
TEXTS = 16  # of a batch


async def measure(peer: Peer, options: argparse.Namespace) -> str:
    with hogs(options.hogs, grouped=options.groups):
        async with process.serving(peer, MODEL, process.default_threads()) as server:
            pids = [each.pid for each in server.left_behind()]
            if options.groups:
                join("serving-benchmark-server", pids)
            durations = Durations(WARMUP_S + options.seconds, WARMUP_S, 0, 0)
            load = asyncio.create_task(closed(server.target, CLIENTS, durations))
            await asyncio.sleep(WARMUP_S)
            began, used, counts = time.perf_counter(), processor_seconds(pids), []
            while not load.done():
                counts.append(runnable(pids))
                await asyncio.wait((load,), timeout=SAMPLE_S)
            cores = (processor_seconds(pids) - used) / (time.perf_counter() - began)
            rate = load.result()["per_second"]
    return (
        f"{peer.name:18} {rate:5.1f}/s  {cores:.2f} cores  {rate / cores:5.1f} answers a second of processor time  "
        f"{statistics.mean(counts):.1f} runnable threads"
    )


@contextlib.contextmanager
def hogs(count: int, *, grouped: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(subprocess.Popen([sys.executable, "-c", process.HOG])) for _ in range(count)]
        for hog in started:
            stack.callback(hog.kill)
        if grouped:
            join("serving-benchmark-hogs", [hog.pid for hog in started])
        yield


def join(name: str, pids: Sequence[int]) -> None:
    """Moves processes into a control group of the usual weight."""
    group = GROUPS / name
    group.mkdir(exist_ok=True)
    for pid in pids:
        (group / "cgroup.procs").write_text(str(pid))


def threads(pids: Sequence[int]) -> Iterator[Path]:
    for pid in pids:
        yield from Path(f"/proc/{pid}/task").glob("*")


def processor_seconds(pids: Sequence[int]) -> float:
    seconds = 0.0
    for thread in threads(pids):
        with contextlib.suppress(OSError):  # it has ended
            seconds += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return seconds


def runnable(pids: Sequence[int]) -> int:
    count = 0
    for thread in threads(pids):
        with contextlib.suppress(OSError):
            count += (thread / "stat").read_text().rpartition(")")[2].split()[0] == "R"
    return count


def ways(seconds: float) -> Iterator[str]:
    """Seconds and processor seconds of one batch by each way to compute it, in turns."""
    from gpu_service.batching.threads import Way, others
    from gpu_service.checkpoints import device
    from gpu_service.checkpoints.checkpoint import Checkpoint
    from gpu_service.checkpoints.registry import Entry
    from gpu_service.parameters import DEFAULTS
    from gpu_service.serving.model import Model

    folder = models.folder(MODEL)
    entry = Entry(name=MODEL, task="text-classification", source=str(folder))
    model = Model(Checkpoint(entry, folder), device.choose("cpu"))
    texts = [reference["text"] for reference in models.references(MODEL)[:TEXTS]]
    batch = [payload.data for payload in model.inputs.payloads(texts)]  # type: ignore[union-attr]
    most = process.default_threads()
    taken: dict[Way, list[tuple[float, float]]] = {way: [] for way in (Way(most), *others(most, divisible=True))}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for way, measured in taken.items():
            model.threads.way = way
            began, used = time.perf_counter(), time.process_time()
            model.launch(batch, [DEFAULTS] * len(batch)).rows()
            measured.append((time.perf_counter() - began, time.process_time() - used))
    for way, measured in taken.items():
        elapsed, processor = (statistics.median(column) for column in zip(*measured, strict=True))
        yield f"threads {way.threads}, parts {way.parts}: {elapsed:.2f} s, {processor:.2f} s of processor time"


async def measure_all(options: argparse.Namespace) -> None:
    for _ in range(options.rounds):
        for peer in peers.find(options.servers):
            print(await measure(peer, options), flush=True)


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default=SERVERS)
    parser.add_argument("--hogs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=14.0)
    parser.add_argument("--groups", action="store_true", help="a control group each for server and hogs")
    parser.add_argument("--ways", type=float, default=0.0, metavar="SECONDS", help="also compare the ways to compute")
    options = parser.parse_args()
    uvloop.run(measure_all(options))
    for line in ways(options.ways) if options.ways else ():
        print(line)


if __name__ == "__main__":
    main()
