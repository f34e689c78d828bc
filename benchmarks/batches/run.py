"""Predict on a large CSV: through the local stack, by a plain transformers pipeline, and by Ray Data.

    python -m benchmarks.batches.run [--rows 200000] [--only stack,plain,ray] [--save]

Each time is a whole one, from the file on disk to the file with predictions: process start and loading of the model
for the peers, upload to document for the stack, which is up as a service is. All use the starter model and every core.
The labels must agree with the plain pipeline's.
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


@dataclass(frozen=True)
class Run:
    """One way to do it: seconds for all rows, the largest process's memory, and the labels in order."""

    name: str
    seconds: float
    labels: list[str]
    memory: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--only", default="stack,plain,ray", help="comma-separated")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "reviews.csv"
        write(source, options.rows)
        print(f"{options.rows:,} rows, {source.stat().st_size / 1e6:.1f} MB", flush=True)
        runs = []
        for name in options.only.split(","):
            run = WAYS[name](source, Path(folder))
            if run is None:
                print(f"{name}: not installed", flush=True)
                continue
            print(f"{run.name}: {run.seconds:.1f} s", flush=True)
            runs.append(run)
    text = table(runs, options.rows)
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
    return Run("this pipeline", seconds, labels(io.StringIO(data.decode(), newline="")), memory)


def wait(client: storage.Client, name: str) -> dict[str, Any]:
    output = client.bucket("local-output")
    while True:
        if blob := output.get_blob(f"results/{name}.json"):
            found: dict[str, Any] = json.loads(blob.download_as_bytes())
            return found
        for folder in ("rejected", "failed"):
            if blob := output.get_blob(f"{folder}/{name}.json"):
                sys.exit(blob.download_as_bytes().decode())
        time.sleep(0.2)


def by_plain_pipeline(source: Path, folder: Path) -> Run:
    target = folder / "plain.csv"
    return _by_script(
        "transformers pipeline", [sys.executable, "plain.py", str(MODEL), str(source), str(target)], target
    )


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
        _, errors = process.communicate()
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
    """The greatest resident memory, in MB, of every process below `pid`, by what it runs."""
    peaks: dict[str, float] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            for process in psutil.Process(pid).children(recursive=True):
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


def describe(process: psutil.Process) -> str:
    """The function or module that a process runs."""
    command = process.cmdline()
    for option in ("--target", "-m"):
        if option in command[:-1]:
            return command[command.index(option) + 1]
    return Path(command[1]).name if len(command) > 1 else process.name()


def table(runs: list[Run], rows: int) -> str:
    machine = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in report.machine().items())
    lines = [
        f"# {rows:,} rows of text",
        "",
        f"{machine}.",
        "",
        "| | seconds | rows/s | largest process, MB | labels |",
        "|---|---|---|---|---|",
    ]
    reference = next((run.labels for run in runs if run.name == "transformers pipeline"), runs[0].labels)
    for run in runs:
        same = sum(a == b for a, b in zip(run.labels, reference, strict=True))
        name, size = max(run.memory.items(), key=lambda item: item[1])
        lines.append(
            f"| {run.name} | {run.seconds:.1f} | {rows / run.seconds:,.0f} | {name} {size:,.0f} "
            f"| {same:,} as the plain pipeline's |"
        )
    best = min((run.seconds for run in runs if run.name != "this pipeline"), default=None)
    ours = next((run for run in runs if run.name == "this pipeline"), None)
    if best and ours:
        lines += ["", f"This pipeline takes {ours.seconds / best:.2f} times the best peer's time."]
    if ours:
        functions = {name: size for name, size in ours.memory.items() if name in FUNCTIONS}
        peaks = ", ".join(f"{name} {size:.0f}" for name, size in sorted(functions.items()))
        lines += ["", f"Peak memory of the functions, MB: {peaks}; the limit is {MEMORY_LIMIT_MB}."]
    return "\n".join(lines) + "\n"


FUNCTIONS = ("on_upload", "on_message", "on_dead_letter", "preprocess", "postprocess", "forecast")
WAYS: dict[str, Callable[[Path, Path], Run | None]] = {
    "stack": through_stack,
    "plain": by_plain_pipeline,
    "ray": by_ray_data,
}

if __name__ == "__main__":
    main()
