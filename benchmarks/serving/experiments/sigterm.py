"""Sends SIGTERM to each server with requests in flight and counts the answers that are lost.

    python -m benchmarks.serving.experiments.sigterm [--requests 16] [--model large] [--servers all] [--save]

Only the server's main process gets the signal; after ten seconds, Cloud Run's grace, whatever is left is killed.
"""

import argparse
import asyncio
import time

import uvloop

from benchmarks.serving import load, process
from benchmarks.serving.experiments import experiment
from benchmarks.serving.peers import Peer

HEADER = ["server", "answered", "lost", "how", "ended after s", "processes left"]
IN_FLIGHT_SECONDS = 0.2  # time for the requests to arrive


async def sigterm(peer: Peer, options: argparse.Namespace) -> list[str]:
    async with process.serving(peer, options.model, options.threads) as server:
        ended: list[str] = []

        async def stop() -> None:
            await asyncio.sleep(IN_FLIGHT_SECONDS)
            began = time.perf_counter()
            in_time = await server.terminate()
            ended.append(f"{time.perf_counter() - began:.1f}" if in_time else "killed")
            ended.append(str(len(server.left_behind())))
            server.kill()

        samples = await load.burst(server.target, options.requests, timeout=60.0, meanwhile=stop)
    outcomes = load.outcomes(samples)
    lost = {outcome: count for outcome, count in outcomes.items() if outcome != load.OK}
    how = ", ".join(f"{count} {outcome}" for outcome, count in lost.items()) or "–"
    return [peer.name, str(outcomes.get(load.OK, 0)), str(sum(lost.values())), how, *ended]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=16)
    options = experiment.parse(parser)
    rows = uvloop.run(experiment.each_server(sigterm, options))
    title = f"SIGTERM with {options.requests} requests in flight, {options.model} model"
    experiment.publish(options, "sigterm", title, HEADER, rows)


if __name__ == "__main__":
    main()
