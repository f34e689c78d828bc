"""Times each server, and a minimal script, from process start to the first correct answer.

    python -m benchmarks.serving.experiments.startup [--runs 5] [--model large] [--servers all] [--save]

The files are in the page cache and compiled to bytecode, as after a first start; the median of the runs is reported.
"""

import argparse
import json
import statistics
import subprocess
import time

import uvloop

from benchmarks.serving import models, peers, process
from benchmarks.serving.experiments import experiment
from benchmarks.serving.peers import Peer

HEADER = ["server", "median s", "range", "of the minimal script"]
MINIMAL = peers.script("minimal script", "base", "minimal", "{text}")


async def start(peer: Peer, model: str, threads: int) -> float:
    """Seconds to the first correct answer. Raises StartError."""
    async with process.serving(peer, model, threads) as server:
        return server.ready_seconds


def minimal(model: str, threads: int) -> float:
    """Seconds until the script, which loads the model through transformers, has printed the right answer."""
    expected = models.references(model)[0]
    path = models.folder(model)
    command = [part.format(text=expected["text"]) for part in MINIMAL.command]
    began = time.perf_counter()
    output = subprocess.run(
        command,
        env=MINIMAL.environment(0, path, threads),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout
    seconds = time.perf_counter() - began
    answer = json.loads(output)
    assert answer["label"] == expected["label"], answer
    assert abs(answer["score"] - expected["score"]) < models.TOLERANCE, answer
    return seconds


async def measure(options: argparse.Namespace) -> experiment.Rows:
    minimal(options.model, options.threads)  # compiles bytecode, fills the page cache
    base = [minimal(options.model, options.threads) for _ in range(options.runs)]

    async def starts(peer: Peer, options: argparse.Namespace) -> list[str]:
        await start(peer, options.model, options.threads)
        times = [await start(peer, options.model, options.threads) for _ in range(options.runs)]
        return row(peer.name, times, statistics.median(base))

    return [row(MINIMAL.name, base, statistics.median(base)), *await experiment.each_server(starts, options)]


def row(name: str, times: list[float], base: float) -> list[str]:
    median = statistics.median(times)
    return [name, f"{median:.2f}", f"{min(times):.2f}–{max(times):.2f}", f"{median / base:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    options = experiment.parse(parser)
    rows = uvloop.run(measure(options))
    title = f"Start to first correct answer, {options.model} model, median of {options.runs}"
    experiment.publish(options, "startup", title, HEADER, rows)


if __name__ == "__main__":
    main()
