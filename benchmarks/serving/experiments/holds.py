"""How long a load keeps all other threads waiting: the longest uses of the interpreter's lock, by processor time.

    python -m benchmarks.serving.experiments.holds [--rounds 3] [--models packed,padded,vocabulary]

Models load in a thread, as beside a service's requests, while another thread wakes up every half a millisecond. Between
two of its turns, the loading thread cannot have held the lock for longer than the processor time that it used. Unlike
latencies, this is hardly larger on a busy machine. A matrix product, which holds no lock, may be counted if the other
thread gets no processor meanwhile.
"""

import argparse
import gc
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import report
from benchmarks.serving.experiments.loading import MODELS, write_models
from gpu_service import settings
from gpu_service.checkpoints import device, registry
from gpu_service.checkpoints.registry import Entry
from gpu_service.networks import pretrained
from gpu_service.serving.loading.loader import Loader

TICK_S = 0.0005
MEMORY = 4 << 30
FRAMES = 2  # of the loading thread's stack in the table


@dataclass(frozen=True, order=True)
class Hold:
    """Milliseconds that the loading thread used between two turns of the other one, and where it was afterwards."""

    milliseconds: float
    place: str


def longest(loader: Loader, entry: Entry) -> Hold:
    """The longest hold of one load."""
    loading = threading.Thread(target=loader.load_beside, args=(entry, MEMORY))
    loading.start()
    most, clock = Hold(0.0, ""), time.pthread_getcpuclockid(loading.ident or 0)
    before = time.clock_gettime(clock)
    while loading.is_alive():
        time.sleep(TICK_S)
        try:
            now = time.clock_gettime(clock)
        except OSError:  # it has just ended
            break
        if 1e3 * (now - before) > most.milliseconds:
            most = Hold(1e3 * (now - before), place(loading))
        before = now
    loading.join()
    return most


def place(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    frames = traceback.extract_stack(frame)[-FRAMES:] if frame else []
    return " < ".join(f"{Path(each.filename).name}: {each.name}" for each in reversed(frames))


def measure(folder: Path, names: list[str], rounds: int) -> list[list[str]]:
    chosen = settings.read(["--models", str(write_models(folder, names)), "--device", "cpu"])
    loader = Loader(chosen, device.choose("cpu"))
    entries = {entry.name: entry for entry in registry.load(chosen.models, None).entries}
    loader.load(entries["small"])
    pretrained.prepare()  # and freezes, as the service does before it is ready
    gc.freeze()
    rows = []
    for name in names:
        holds = [longest(loader, entries[name]) for _ in range(rounds)]
        each = ", ".join(f"{hold.milliseconds:.0f}" for hold in holds)
        rows.append([name, each, max(holds).place])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="loads of each model")
    parser.add_argument("--models", default=",".join(MODELS), help="of " + ", ".join(MODELS))
    options = parser.parse_args()
    facts = report.machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.models.split(","), options.rounds)
    print(f"{report.facts(facts)}.\n")
    print(report.table(["model", "longest hold of each load, ms", "the longest was in"], rows))


if __name__ == "__main__":
    main()
