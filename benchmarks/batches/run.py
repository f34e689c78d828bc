"""Measures predictions on a large CSV by the local stack, a plain transformers pipeline, and Ray Data.

    python -m benchmarks.batches.run [--rows 200000] [--peer-rows 200000] [--only stack,plain,ray] [--save]

Times are from the file on disk to the file with predictions. They include process start and loading of the model for
the peers, and upload to document for the stack, which runs already, as a service does. All use the starter model and
every core. --peer-rows may give the peers fewer rows, since rows per second are compared. The table counts labels that
agree with the plain pipeline's.
"""

import argparse
import csv
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from benchmarks.serving import install, report
from emulator.process import Stack

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODEL = ROOT / "gpu_service" / "models" / "sentiment"
RESULTS = ROOT / "benchmarks" / "results"
WORDS = tuple(
    re.findall(
        r"\w+",
        """
    the a this that film plot cast music story ending script acting hotel room staff food camera is was seems feels
    very rather truly never always wonderful dull moving charming tedious brilliant clumsy awful excellent funny
    boring and but yet because although for with without of in on to me us everyone nobody every minute scene
""",
    )
)
MEMORY_LIMIT_MB = 300
GIVE_UP_S = 1200


@dataclass(frozen=True)
class Run:
    """The seconds of a way, its labels in order, and the peak memory of each process, in MB."""

    name: str
    seconds: float
    labels: list[str]
    memory: dict[str, float]

    @property
    def rate(self) -> float:
        return len(self.labels) / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--peer-rows", type=int, default=200_000)
    parser.add_argument("--only", default="stack,plain,ray", help="what to measure, comma-separated")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = {name: Path(folder) / f"{name}.csv" for name in ("all", "some")}
        write(sources["all"], options.rows)
        write(sources["some"], min(options.rows, options.peer_rows))
        print(f"{options.rows:,} rows, {sources['all'].stat().st_size / 1e6:.1f} MB", flush=True)
        runs = []
        for name in options.only.split(","):
            run = WAYS[name](sources["all" if name == "stack" else "some"], Path(folder))
            if run is None:
                print(f"{name}: not installed", flush=True)
                continue
            print(f"{run.name}: {run.seconds:.1f} s", flush=True)
            runs.append(run)
    text = table(runs)
    print(text)
    if options.save:
        path = RESULTS / f"{time.strftime('%Y-%m-%d')}-batches.md"
        path.write_text(text)
        print(f"written: {path}")


def write(path: Path, rows: int) -> None:
    """Reviews of 5 to 60 words."""
    chance = random.Random(7)
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "review"])
        for number in range(rows):
            writer.writerow([number, " ".join(chance.choices(WORDS, k=chance.randint(5, 60)))])


def through_stack(source: Path, folder: Path) -> Run:
    with Stack(folder / "state") as stack:
        os.environ["STORAGE_EMULATOR_HOST"] = stack.start().http
        client = storage.Client(project="local-project", credentials=AnonymousCredentials())
        with watched(os.getpid()) as memory:
            began = time.perf_counter()
            blob = client.bucket("local-input").blob("reviews.csv")
            blob.upload_from_filename(source)
            document = wait(client, f"reviews.csv/{blob.generation}")
            seconds = time.perf_counter() - began
        data = client.bucket("local-output").blob(f"results/reviews.csv/{blob.generation}.csv").download_as_bytes()
        print(json.dumps(document["data"], indent=2))
    return Run(OURS, seconds, labels(io.StringIO(data.decode(), newline="")), memory)


def wait(client: storage.Client, name: str) -> dict[str, Any]:
    output = client.bucket("local-output")
    while True:
        if blob := output.get_blob(f"results/{name}.json"):
            document: dict[str, Any] = json.loads(blob.download_as_bytes())
            return document
        for folder in ("rejected", "failed"):
            if blob := output.get_blob(f"{folder}/{name}.json"):
                sys.exit(blob.download_as_bytes().decode())
        time.sleep(0.2)


def by_plain_pipeline(source: Path, folder: Path) -> Run:
    target = folder / "plain.csv"
    return _by_script(PLAIN, [sys.executable, "plain.py", str(MODEL), str(source), str(target)], target)


def by_ray_data(source: Path, folder: Path) -> Run | None:
    if not install.install("base", install.BASE) or not install.install("ray_data", HERE / "ray_data.txt"):
        return None
    target = folder / "ray"
    python = str(install.python("ray_data"))
    return _by_script("Ray Data", [python, "with_ray.py", str(MODEL), str(source), str(target)], target)


def _by_script(name: str, command: list[str], target: Path) -> Run:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=HERE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with watched(process.pid) as memory:
        try:
            _, errors = process.communicate(timeout=GIVE_UP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            sys.exit(f"{name} was not done after {GIVE_UP_S} s")
    seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{name} failed: {errors[-2000:]}")
    files = sorted(target.glob("*.csv")) if target.is_dir() else [target]
    rows = [row for file in files for row in _rows(file)]
    rows.sort(key=lambda row: int(row["id"]))
    return Run(name, seconds, [row["label"] for row in rows], memory)


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def labels(text: io.StringIO) -> list[str]:
    return [row["label"] for row in csv.DictReader(text)]


@contextmanager
def watched(pid: int) -> Iterator[dict[str, float]]:
    """Yields the peak resident memory, in MB, of every process below `pid`, by what the process runs."""
    peaks: dict[str, float] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            for process in processes(pid):
                try:
                    name, size = describe(process), process.memory_info().rss / 1e6
                except psutil.Error:
                    continue
                peaks[name] = max(peaks.get(name, 0.0), size)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def processes(pid: int) -> list[psutil.Process]:
    """A process and its descendants, without this process."""
    try:
        whole = psutil.Process(pid)
        return [process for process in (whole, *whole.children(recursive=True)) if process.pid != os.getpid()]
    except psutil.NoSuchProcess:
        return []


def describe(process: psutil.Process) -> str:
    """The function or module that a process runs."""
    command = process.cmdline()
    for option in ("--target", "-m"):
        if option in command[:-1]:
            return command[command.index(option) + 1]
    return (Path(command[1]).name if len(command) > 1 else "") or process.name()


def table(runs: list[Run]) -> str:
    machine = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in report.machine().items())
    lines = [
        "# Predicting on a large CSV",
        "",
        f"{machine}.",
        "",
        "| | rows | seconds | rows/s | largest process, MB | labels as the plain pipeline's |",
        "|---|---|---|---|---|---|",
    ]
    reference = next((run.labels for run in runs if run.name == PLAIN), runs[0].labels)
    for run in runs:
        compared = list(zip(run.labels, reference, strict=False))
        name, size = max(run.memory.items(), key=lambda item: item[1])
        cells = (
            run.name,
            f"{len(run.labels):,}",
            f"{run.seconds:.1f}",
            f"{run.rate:,.0f}",
            f"{name} {size:,.0f}",
            f"{sum(a == b for a, b in compared):,} of {len(compared):,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    best = max((run.rate for run in runs if run.name != OURS), default=None)
    pipeline = next((run for run in runs if run.name == OURS), None)
    if best and pipeline:
        lines += ["", f"Time per row: {best / pipeline.rate:.2f} times the best peer's."]
    if pipeline:
        functions = {name: size for name, size in pipeline.memory.items() if name in FUNCTIONS}
        peaks = ", ".join(f"{name} {size:.0f}" for name, size in sorted(functions.items()))
        lines += ["", f"Peak memory of the functions, MB: {peaks}; the limit is {MEMORY_LIMIT_MB}."]
    return "\n".join(lines) + "\n"


OURS, PLAIN = "this pipeline", "transformers pipeline"
FUNCTIONS = ("on_upload", "on_message", "on_dead_letter", "preprocess", "postprocess", "forecast")
WAYS: dict[str, Callable[[Path, Path], Run | None]] = {
    "stack": through_stack,
    "plain": by_plain_pipeline,
    "ray": by_ray_data,
}

if __name__ == "__main__":
    main()
