"""Prints how much load deployments take, as tables: `python -m benchmarks.scale`.

python -m benchmarks.scale max_instances=10 micro_batching=true    a deployment with these variables
python -m benchmarks.scale document                                updates the tables of docs/scale.md
python -m benchmarks.scale simulate                                simulates floods and outages, and records the results
"""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.scale import capacity, markdown
from benchmarks.scale.capacity import Bound, Hour
from benchmarks.scale.simulation import report

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
LOADS = (1, 10, 100, 1000)  # inputs per second
DEPLOYMENTS: Mapping[str, Mapping[str, Any]] = {
    "As deployed by default": {},
    "With `micro_batching=true`": {"micro_batching": True},
    "With `max_executions_per_hour=0`": {"max_executions_per_hour": 0},
}


def tables() -> str:
    """The tables of the documentation, in Markdown."""
    return "\n\n".join(section(f"### {title}", values) for title, values in DEPLOYMENTS.items())


def section(title: str, values: Mapping[str, Any]) -> str:
    """What an hour of each load leads to with these variables, and what bounds it."""
    bounds = capacity.bounds(values)
    own = capacity.own_executions(values)
    single, shared = capacity.own_cost(), capacity.shared_cost(values)
    text = {
        0.0: f"Texts and images are collected, for {shared:.0f} USD per million small texts.",
        math.inf: f"Texts and images have executions of their own, for {single:.0f} USD per million small texts.",
    }.get(own) or (
        f"Up to {own:.2f} texts and images per second have executions of their own, for {single:.0f} USD per million "
        f"small texts; what is beyond that is collected, for {shared:.0f} USD."
    )
    hours = [capacity.hour(load, bounds[0]) for load in LOADS]
    return "\n\n".join(
        [title, text, markdown.table(HOUR_HEADS, map(_hour, hours)), markdown.table(BOUND_HEADS, map(_bound, bounds))]
    )


HOUR_HEADS = ("inputs/s for an hour", "waiting at its end", "drained after", "binds")
BOUND_HEADS = ("part", "inputs/s", "beyond that", "raised by")


def _hour(hour: Hour) -> list[str]:
    return [
        f"{hour.load:,.0f}",
        f"{hour.waiting:,.0f}",
        _duration(hour.drained) if hour.waiting else "at once",
        hour.binding.part if hour.waiting else "nothing",
    ]


def _bound(bound: Bound) -> list[str]:
    rate = "no bound" if math.isinf(bound.per_second) else f"{bound.per_second:,.1f}".removesuffix(".0")
    return [bound.part, rate, bound.then, bound.raised_by]


def _duration(seconds: float) -> str:
    hours = seconds / capacity.HOUR
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"


def document(page: str) -> str:
    """The page with the tables in their places; those of the simulation are the recorded ones."""
    return _between("simulation", _between("capacity", page, tables()), report.recorded())


def _between(marker: str, page: str, text: str) -> str:
    """The page with the text between its markers replaced."""
    before, start, rest = page.partition(f"<!-- {marker} -->\n")
    _, end, after = rest.partition(f"<!-- /{marker} -->")
    return f"{before}{start}{text}\n{end}{after}"


def main(arguments: list[str]) -> int:
    if arguments == ["document"]:
        PAGE.write_text(document(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    if arguments == ["simulate"]:
        print(report.record())
        return 0
    if not arguments:
        print(tables())
        return 0
    pairs = [argument.partition("=") for argument in arguments]
    if not all(equals for _, equals, _ in pairs):
        print(__doc__, file=sys.stderr)
        return 2
    print(section(f"### {' '.join(arguments)}", {name: _value(value) for name, _, value in pairs}))
    return 0


def _value(text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
