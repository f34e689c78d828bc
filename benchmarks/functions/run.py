"""Measures how soon each function answers its first request, compared with two of the same framework: an empty one, and
one that makes as many requests by the same official clients, used plainly.

    make benchmark-functions

Each start is a fresh process of the real functions-framework server in the folder that would be deployed. The first
request is a real one: it reads and writes emulated Cloud Storage and starts executions, by the official clients.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from benchmarks.functions import events
from benchmarks.functions.cloud import cloud
from benchmarks.functions.first import Start, measure
from deploy import stage

ROOT = Path(__file__).parents[2]
BESIDE = Path(__file__).parent / "beside"
ENVIRONMENTS = ROOT / ".peers" / "functions"
WIDTHS = {"listening": 7, "answered": 11, "cpu": 8}
EVENT_FUNCTIONS = ("on_upload", "on_message", "on_dead_letter")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("function", nargs="*", help="functions to measure (default: all)")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--own-environments", action="store_true", help="install only each function's requirements.txt")
    options = parser.parse_args()
    print("the medians; last, the first answer's and the processor's time as multiples of the empty function's")
    print(f"{'':16}{'listening':>12}{'first answer':>15}{'processor':>12}{'memory':>10}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cloud").mkdir()
        with cloud(folder / "cloud") as env:
            os.environ["STORAGE_EMULATOR_HOST"] = env["STORAGE_EMULATOR_HOST"]
            client = storage.Client(project="local-project", credentials=AnonymousCredentials())
            for function in options.function or stage.names():
                python = environment(function) if options.own_environments else Path(sys.executable)
                compare(function, python, folder, env, client, options.runs)


def environment(function: str) -> Path:
    """The interpreter of a virtual environment with the requirements of the function's deployment."""
    folder = ENVIRONMENTS / function
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    requirements = ROOT / "functions" / function / "requirements.txt"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    return python


def compare(function: str, python: Path, folder: Path, env: dict[str, str], client: storage.Client, runs: int) -> None:
    """Starts the three in turn, without counting the first start of each, which warms the disk cache."""
    signature = "cloudevent" if function in EVENT_FUNCTIONS else "http"
    folders = {kind: laid_out(f"{kind}_{signature}", folder) for kind in ("empty", "plain")}
    folders[function] = stage.stage(function, target=folder / "staged")
    starts: dict[str, list[Start]] = {name: [] for name in folders}
    for _ in range(runs + 1):
        for name, place in folders.items():
            target = function if name == function else "beside"
            starts[name].append(measure(python, place, target, signature, env, events.of(function, client)))
    for name, measured in starts.items():
        report(name, measured[1:], None if name == "empty" else starts["empty"][1:])


def laid_out(name: str, folder: Path) -> Path:
    place = folder / name
    place.mkdir(exist_ok=True)
    shutil.copyfile(BESIDE / f"{name}.py", place / "main.py")
    return place


def report(name: str, starts: list[Start], beside: list[Start] | None) -> None:
    def median(of: list[Start], field: str) -> float:
        value: float = statistics.median(getattr(start, field) for start in of)
        return value

    ratios = [median(starts, field) / median(beside, field) for field in ("answered", "cpu")] if beside else []
    times = [f"{1000 * median(starts, field):{width}.0f} ms" for field, width in WIDTHS.items()]
    print(
        f"{name:16}",
        *times,
        f"{median(starts, 'memory_mb'):6.0f} MB",
        *(f"{ratio:7.2f}" for ratio in ratios),
        flush=True,
    )


if __name__ == "__main__":
    main()
