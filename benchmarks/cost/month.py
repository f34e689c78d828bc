"""Simulates a month of texts with the code that decides when they run and by what; compares its bill with the formulas.

    PYTHONPATH=functions:functions/on_message .venv/bin/python -m benchmarks.cost.month [--inputs 10000] [--seed 1]

The texts arrive at random (Poisson). The clock is simulated; the scheduler orders a collection every minute.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush

from rich.console import Console
from rich.table import Table

from event_inference.cost import scenario
from event_inference.cost.amounts import monthly_bill
from event_inference.cost.bill import cents
from event_inference.cost.prices import published
from event_inference.cost.scenario import MONTH, Traffic
from event_inference.cost.usage import Usage, billed_task, p95, usage
from messaging import engines, runs
from pipeline import waiting
from pipeline.jobs.job import Engine, Input, Job
from pipeline.settings import Settings

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BYTES = 100  # of a text
WAITS = {"at once": 0, "1m": 60, "15m": 900, "1h": 3600, "6h": 21_600}


@dataclass(frozen=True)
class Run:
    """Inputs that were started together, in seconds since the month began."""

    at: float
    inputs: int
    engine: Engine


def arrivals(inputs: int, chance: random.Random) -> list[float]:
    """When the texts of a month are uploaded."""
    moments, now = [], 0.0
    while (now := now + chance.expovariate(inputs / MONTH)) < MONTH:
        moments.append(now)
    return moments


def collected(moments: Sequence[float], settings: Settings) -> Iterator[Run]:
    """The runs that orders to collect start, every minute of the month and until nothing waits."""
    jobs: dict[str, Job] = {}
    notes: list[tuple[datetime, str, waiting.Note]] = []
    upcoming = iter([*moments, float("inf")])
    upload, now = next(upcoming), 0.0
    while upload < MONTH or notes:
        now += runs.INTERVAL.total_seconds()
        while upload <= now:
            job = _job(upload, settings)
            jobs[job.id] = job
            note = waiting.note(job)
            heappush(notes, (note.due, note.job, note))
            upload = next(upcoming)
        moment = BEGIN + timedelta(seconds=now)
        if not notes or notes[0][0] > moment + runs.INTERVAL:
            continue
        listed = [heappop(notes)[2] for _ in range(len(notes))]
        started = runs.plan(listed, moment)
        for planned in started:
            members = [jobs.pop(note.job) for note in planned]
            yield Run(now, len(members), engines.cheaper(runs.run(settings, members), 0.0, settings))
        for note in {*listed} - {note for planned in started for note in planned}:
            heappush(notes, (note.due, note.job, note))


def at_once(moments: Sequence[float]) -> list[Run]:
    return [Run(moment, 1, "service") for moment in moments]


def billed(started: Sequence[Run], traffic: Traffic, assumed: scenario.Settings, *, together: bool) -> Usage:
    """The seconds for which an instance of the service, which scales to zero, and tasks of the job are billed."""
    service = job = gone = 0.0
    for run in started:
        work = traffic.gpu_base + run.inputs * traffic.gpu_each
        if run.engine == "job":
            job += billed_task(assumed.job_start + work)
            continue
        begun = run.at if run.at < gone else run.at + assumed.start
        service += begun + work + assumed.idle - max(run.at, gone)
        gone = begun + work + assumed.idle
    return Usage(service, 0.0, job, len(started) if together else 0.0)


def simulated(moments: Sequence[float], max_wait: int) -> tuple[list[Run], Usage]:
    """The runs of a month and what is billed for them."""
    traffic, assumed = Traffic(inputs=len(moments)), scenario.Settings(max_wait=max_wait)
    if not max_wait:
        return at_once(moments), billed(at_once(moments), traffic, assumed, together=False)
    started = list(collected(moments, Settings("in", "work", "out", max_wait={"": max_wait})))
    return started, billed(started, traffic, assumed, together=True)


def _job(upload: float, settings: Settings) -> Job:
    created = (BEGIN + timedelta(seconds=upload)).isoformat()
    source = Input("in", f"{upload}.txt", 1, BYTES, "text/plain")
    job = Job(f"{upload:.6f}", f"{upload}.txt/1", "1", created, source, "text", created_at=created)
    return replace(job, due=waiting.due(settings, job))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    moments = arrivals(options.inputs, random.Random(options.seed))
    traffic = Traffic(inputs=len(moments))
    table = Table("max_wait", "runs", "by the job", "service s", "job s", "bill", "by formula", "apart", "95 % within")
    for name, max_wait in WAITS.items():
        assumed = scenario.Settings(max_wait=max_wait)
        started, used = simulated(moments, max_wait)
        bills = [monthly_bill(traffic, assumed, published(), each).usd for each in (used, usage(traffic, assumed))]
        table.add_row(
            name,
            f"{len(started):,}",
            f"{sum(run.engine == 'job' for run in started) / len(started):.0%}",
            f"{used.service:,.0f}",
            f"{used.job:,.0f}",
            *(f"${cents(each)}" for each in bills),
            f"{float(bills[0] / bills[1]) - 1:+.1%}",
            f"{p95(traffic, assumed):,.0f} s",
        )
    console = Console(width=120)
    console.print(f"{len(moments):,} texts in a month, seed {options.seed}; one L4 that scales to zero, list prices")
    console.print(table)


if __name__ == "__main__":
    main()
