"""Measures every server with the same load generator, one model after the other, and the model alone.

    python -m benchmarks.serving.run [--quick] [--servers gpu_service,mosec] [--models large,tiny] [--save]

Per server: a closed loop for each number of clients, then random arrivals at 70 % of its own capacity. Ceilings are
measured before and after the servers, and their mean is reported; not beside busy processes (--hogs). The tables also
list servers that do not install or start, and wrong, refused and failed answers.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.serving import ceilings, load, models, peers, process, report
from benchmarks.serving.peers import Peer
from benchmarks.serving.results import Measurements, ModelRun, Result

TRIVIAL_ANSWER: models.Verdict = {"label": "NEGATIVE", "score": 0.5}
OPEN_SHARE = 0.7  # of a server's own capacity, its best closed-loop throughput


@dataclass(frozen=True)
class Durations:
    """Seconds; `cell` is for each number of clients, of which the first `warmup` are not counted."""

    cell: float
    warmup: float
    open_loop: float
    ceilings: float


DEFAULT = {"large": Durations(9, 2.5, 12, 20), "tiny": Durations(6, 2, 10, 5)}
QUICK = {"large": Durations(5, 2, 5, 1), "tiny": Durations(3, 1, 4, 1)}


async def measure_server(peer: Peer, model: str, options: argparse.Namespace) -> Result:
    result = Result(peer.name, peer.note)
    if not peer.installed:
        result.error = "not installed"
        return result
    durations = options.durations[model]
    try:
        async with process.serving(peer, model, options.threads) as server:
            result.ready_seconds = round(server.ready_seconds, 2)
            for clients in options.clients:
                result.cells[clients] = await closed(server.target, clients, durations)
            if result.capacity:
                result.open_loop = await opened(server.target, OPEN_SHARE * result.capacity, durations.open_loop)
    except process.StartError as error:
        result.error = str(error)
    return result


async def closed(target: load.Target, clients: int, durations: Durations) -> load.Summary:
    began = time.perf_counter()
    samples = await load.closed_loop(target, clients, durations.cell)
    return load.summary(samples, began + durations.warmup, began + durations.cell)


async def opened(target: load.Target, rate: float, seconds: float) -> load.Summary:
    began = time.perf_counter()
    samples = await load.open_loop(target, rate, seconds)
    return load.summary(samples, began, began + seconds)


async def measure_generator(clients: Sequence[int], seconds: float) -> dict[int, float]:
    """Requests per second of this load generator, its checks included, against a server that answers all alike."""
    server = process.Server(peers.GENERATOR, "tiny", threads=1)
    server.target.references = [{**each, **TRIVIAL_ANSWER} for each in server.target.references]
    rates = {}
    try:
        await server.wait_until_ready()
        for count in clients:
            began = time.perf_counter()
            samples = await load.closed_loop(server.target, count, seconds)
            rates[count] = round(load.throughput(samples, began, began + seconds), 1)
    finally:
        server.kill()
    return rates


async def measure_model(model: str, options: argparse.Namespace) -> ModelRun:
    chosen = peers.find(options.servers)
    run = ModelRun(model, measure_ceilings(model, options), [])
    for peer in chosen:
        run.results.append(result := await measure_server(peer, model, options))
        progress(f"{model}: {report.line(result)}")
    run.ceilings += measure_ceilings(model, options)
    return run


def measure_ceilings(model: str, options: argparse.Namespace) -> list[dict[str, ceilings.Ceiling]]:
    """The model alone; nothing beside hogs, which would take long and vary."""
    if options.hogs:
        return []
    measured = ceilings.measure(model, options.threads, options.durations[model].ceilings)
    progress(f"{model}: packed ceiling {ceilings.packed_ceiling(measured):.1f} texts/s")
    return [measured]


async def measure_all(options: argparse.Namespace) -> Measurements:
    began, machine = time.perf_counter(), report.machine()
    for model in options.models:
        models.folder(model)
    with process.hogs(options.hogs):
        generator = await measure_generator(options.clients, seconds=2.0)
        progress(f"load generator alone: {generator} requests/s")
        runs = [await measure_model(model, options) for model in options.models]
    settings = {
        "threads": options.threads,
        "hogs": options.hogs,
        "durations": {model: asdict(options.durations[model]) for model in options.models},
        "open_share": OPEN_SHARE,
        "seconds": round(time.perf_counter() - began),
    }
    return Measurements(machine, settings, generator, runs)


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="all", help="comma-separated parts of names; `packed` adds those")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(models.SHAPES))
    parser.add_argument("--clients", type=numbers, default=[1, 8, 32, 128])
    parser.add_argument(
        "--threads", type=int, default=process.default_threads(), help="torch threads; all cores by default"
    )
    parser.add_argument("--hogs", type=int, default=0, help="other processes that keep a core busy each")
    parser.add_argument("--seconds", type=float, help="seconds of each closed-loop cell, including warm-up")
    parser.add_argument("--open-seconds", type=float, help="seconds of the open-loop run")
    parser.add_argument(
        "--quick", action="store_true", help="short cells, to check that everything works; not for quoting"
    )
    parser.add_argument("--save", action="store_true", help="write JSON and Markdown to benchmarks/results/")
    options = parser.parse_args()
    base = QUICK if options.quick else DEFAULT
    options.durations = {
        model: Durations(
            options.seconds or base[model].cell,
            min(base[model].warmup, (options.seconds or base[model].cell) / 2),
            options.open_seconds or base[model].open_loop,
            base[model].ceilings,
        )
        for model in options.models
    }
    return options


def main() -> None:
    import uvloop

    options = parse()
    measured = uvloop.run(measure_all(options))
    print(report.markdown(measured))
    if options.save:
        for path in report.save(measured):
            progress(f"written: {path}")


if __name__ == "__main__":
    main()
