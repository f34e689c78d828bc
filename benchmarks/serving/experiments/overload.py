"""Sends each server more concurrent requests than it can answer in time, and counts the outcomes.

python -m benchmarks.serving.experiments.overload [--requests 400] [--timeout 20] [--model large] [--servers all]
        [--save]
"""

import argparse

import uvloop

from benchmarks.serving import load, process
from benchmarks.serving.experiments import experiment
from benchmarks.serving.peers import Peer

HEADER = [
    "server",
    "answered",
    "refused immediately (429, 503)",
    "timed out",
    "wrong or failed",
    "last answer s",
    "p50 s",
]


async def overload(peer: Peer, options: argparse.Namespace) -> list[str]:
    async with process.serving(peer, options.model, options.threads) as server:
        samples = await load.burst(server.target, options.requests, options.timeout)
    outcomes = load.outcomes(samples)
    expected = {load.OK, load.REFUSED, load.TIMEOUT}
    others = {outcome: count for outcome, count in outcomes.items() if outcome not in expected}
    times = sorted(sample.ended - sample.due for sample in samples if sample.outcome == load.OK)
    refusals = [sample.ended - sample.due for sample in samples if sample.outcome == load.REFUSED]
    refused = f"{len(refusals)}, within {max(refusals):.1f} s" if refusals else "0"
    failed = ", ".join(f"{count} {outcome}" for outcome, count in others.items()) or "0"
    last, median = (f"{times[-1]:.1f}", f"{times[len(times) // 2]:.1f}") if times else ("–", "–")
    return [peer.name, str(len(times)), refused, str(outcomes.get(load.TIMEOUT, 0)), failed, last, median]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--timeout", type=float, default=20.0, help="timeout of each client, in seconds")
    options = experiment.parse(parser)
    rows = uvloop.run(experiment.each_server(overload, options))
    title = f"{options.requests} concurrent requests, {options.timeout:.0f} s client timeout, {options.model} model"
    experiment.publish(options, "overload", title, HEADER, rows)


if __name__ == "__main__":
    main()
