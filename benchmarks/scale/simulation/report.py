"""Runs the scenarios whole and records what they lead to."""

from pathlib import Path

from benchmarks.scale import markdown
from benchmarks.scale.simulation import deployment, scenarios
from benchmarks.scale.simulation.tally import Tally, quantile

RESULTS = Path(__file__).parents[2] / "results" / "2026-11-29-scale.md"
BEGIN = "\n\n<!-- tables -->\n"

FLOODS = ("flood", "uploaded", "documents", "failed", "dead letters", "drained after", "executions", "longest wait")

OUTAGES = (
    "outage of two hours, at 139 uploads/s",
    "uploaded",
    "documents",
    "failed",
    "dead letters",
    "most waiting",
    "drained after its end",
    "put back",
    "trials",
    "started in the minutes from its end",
)
TENANTS = (
    "10,000 tenants with 100 uploads/s for half an hour",
    "documents",
    "failed",
    "dead letters",
    "all drained after",
    "half of theirs within",
    "99 % of theirs within",
    "longest wait of theirs",
)
OUTAGE, BEFORE = 2 * scenarios.HOUR, 600

INSTANCES = ", ".join(f"{count} for {name}" for name, count in scenarios.RAISED.items())
INTRODUCTION = f"""\
# Floods and outages, simulated

`make simulate-scale`: the pipeline's own decisions on a virtual clock (`benchmarks/scale/simulation/`), with the quotas
and the assumed times of `benchmarks/scale/limits.yaml`. Nothing here was measured in a cloud. Every run is the same.

"Raised" is the deployment with `max_instances` of {INSTANCES},
and `MAX_COLLECTIONS={scenarios.COLLECTIONS}`.
"""


def record() -> str:
    """Runs the scenarios, writes their results, and returns the tables."""
    text = tables()
    RESULTS.write_text(f"{INTRODUCTION.rstrip()}{BEGIN}{text}\n", encoding="utf-8")
    return text


def recorded() -> str:
    """The tables of the recorded results."""
    return RESULTS.read_text(encoding="utf-8").partition(BEGIN)[2].rstrip("\n")


def tables() -> str:
    return f"{_floods()}\n\n{_outages()}\n\n{_tenants()}"


def _floods() -> str:
    default, raised = deployment.of(), scenarios.raised()
    floods = {
        "50/s for an hour, by default": scenarios.flood(default, 50),
        "100/s for an hour, by default": scenarios.flood(default, 100),
        "1,000/s for an hour, by default": scenarios.flood(default, 1000),
        "1,000/s for an hour, raised": scenarios.flood(raised, 1000),
    }
    return markdown.table(FLOODS, [[name, *_flood(tally)] for name, tally in floods.items()])


def _flood(tally: Tally) -> list[str]:
    counts = (tally.uploaded, tally.documents, tally.failed, tally.dead_letters)
    return [*_numbers(*counts), _hours(tally.drained), *_numbers(tally.executions.total()), _minutes(max(tally.waits))]


def _outages() -> str:
    deployed = {"by default": deployment.of(), "raised": scenarios.raised()}
    rows = [[name, *_outage(scenarios.outage(each, 139, OUTAGE, BEFORE))] for name, each in deployed.items()]
    return markdown.table(OUTAGES, rows)


def _outage(tally: Tally) -> list[str]:
    end = BEFORE + OUTAGE
    counts = (tally.uploaded, tally.documents, tally.failed, tally.dead_letters, tally.most_waiting)
    started = ", ".join(f"{tally.started[end // 60 + minute]:,}" for minute in range(8))
    return [*_numbers(*counts), _hours(tally.drained - end), *_numbers(tally.put_back, tally.trials), started]


def _tenants() -> str:
    half = scenarios.HOUR // 2
    cases = {
        "alone": scenarios.tenants(0, 100, half, told_apart=False),
        "one more floods with 1,000/s": scenarios.tenants(1000, 100, half, told_apart=False),
        "the same with `TENANTS`": scenarios.tenants(1000, 100, half, told_apart=True),
    }
    return markdown.table(TENANTS, [[name, *_beside(tally)] for name, tally in cases.items()])


def _beside(tally: Tally) -> list[str]:
    waits = (quantile(tally.beside, 0.5), quantile(tally.beside, 0.99), max(tally.beside))
    counts = _numbers(tally.documents, tally.failed, tally.dead_letters)
    return [*counts, _hours(tally.drained), *map(_minutes, waits)]


def _numbers(*counts: int) -> list[str]:
    return [f"{count:,}" for count in counts]


def _hours(seconds: float) -> str:
    return f"{seconds / scenarios.HOUR:.2f} h"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.1f} min"
