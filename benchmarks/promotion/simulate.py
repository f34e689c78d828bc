"""Simulates candidates whose quality is known, and counts what the code that decides makes of them.

    .venv/bin/python -m benchmarks.promotion.simulate [--trials 5000] [--only ramp]

Each trial looks after every disagreement of the two versions, or after every 50 inputs of a split. All trials of a row
run together; `--one-by-one` calls the code that decides for each trial and look instead, which takes far longer.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.promotion.arrays import Decide, one_by_one, together
from benchmarks.promotion.trials import BASE_ERRORS, Run, coverage, labelled, paired, ramp, split
from event_inference.promotion.decision import Action, Rules


@dataclass(frozen=True)
class Row:
    """What is simulated, and the ends that are counted."""

    name: str
    run: Run
    ends: tuple[Action | str, ...]


def rows() -> Iterator[Row]:
    plain, longer = Rules(guard_alpha=0.05), Rules(guard_alpha=0.05, horizon=30_000)
    promoted, ended = ("promote",), ("promote", "roll_back")
    yield Row("paired, equal (.80), d = .10", paired(0.80, 0.80, 0.10, plain), promoted)
    yield Row("paired, equal, 3,000 disagreements", paired(0.80, 0.80, 0.10, longer), promoted)
    yield Row("paired, equal, promotion at alpha = .01", paired(0.8, 0.8, 0.1, Rules(alpha=0.01)), promoted)
    for candidate, disagreeing in ((0.85, 0.10), (0.85, 0.30), (0.82, 0.10), (0.81, 0.10)):
        name = f"paired, .80 to {candidate:.2f}, d = {disagreeing:.2f}".replace("0.", ".")
        yield Row(name, paired(0.80, candidate, disagreeing, plain), promoted)
    no_worse = Rules(margin=0.01, guard_alpha=0.05)
    yield Row("paired, not worse by 1 point, equal", paired(0.80, 0.80, 0.10, no_worse), promoted)
    yield Row("paired, not worse by 1 point, .80 to .79", paired(0.80, 0.79, 0.10, no_worse), promoted)
    yield Row("paired, .80 to .75, d = .15", paired(0.80, 0.75, 0.15, plain), ("roll_back",))
    yield Row("paired, .80 to .50, d = .40", paired(0.80, 0.50, 0.40, plain), ("roll_back",))
    for share in (0.5, 0.1):
        for candidate in (0.80, 0.82, 0.85, 0.90):
            name = f"labels, {share:.0%} split, .80 to {candidate:.2f}".replace("0.", ".")
            yield Row(name, labelled(0.80, candidate, share, plain, 10_000), promoted)
    yield Row("errors .1 % in both, 10 % split", split("errors", 0.001, 0.001, 0.1, 5_000), ("roll_back",))
    for rate in (0.05, 0.2, 0.5, 1.0):
        yield Row(f"errors .1 % to {rate:.0%}", split("errors", 0.001, rate, 0.1, 5_000), ("roll_back",))
    outages = split("errors", 0.001, 0.001, 0.1, 5_000, 0.1)
    yield Row("errors, outages of both", outages, ("roll_back", "over budget"))
    yield Row("slow 5 % in both", split("slow", 0.05, 0.05, 0.1, 5_000), ("roll_back",))
    for rate, factor in ((0.10, "1.2"), (0.20, "1.5"), (0.40, "2")):
        name = f"slow 5 % to {rate:.0%} (lognormal, times {factor})"
        yield Row(name, split("slow", 0.05, rate, 0.1, 20_000), ("roll_back",))
    yield Row("ramp, equal (.80)", ramp(0.80, 0.80, BASE_ERRORS, Rules(), 40_000), ended)
    yield Row("ramp, .80 to .85", ramp(0.80, 0.85, BASE_ERRORS, Rules(), 40_000), ended)
    yield Row("ramp, .80 to .75", ramp(0.80, 0.75, BASE_ERRORS, Rules(), 40_000), ended)
    yield Row("ramp, errors in 30 %", ramp(0.80, 0.80, 0.3, Rules(), 40_000), ended)
    yield Row("interval, 10 % split, .80 to .82", coverage(0.80, 0.82, 0.1, 10_000), ("missed",))


def simulate(row: Row, trials: int, seed: int = 1, decide: Decide = together) -> dict[str, tuple[float, float | None]]:
    """By end, the part of the trials that end so, and the median of labels or inputs after which they do."""
    trial = row.run(np.random.default_rng(seed), trials, decide)
    ended = {}
    for end in row.ends:
        after = [each.after for each in trial if each.action == end]
        ended[end] = (len(after) / trials, statistics.median(after) if after else None)
    return ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--only", nargs="*", default=[""], help="rows whose name begins with one of these")
    parser.add_argument("--one-by-one", action="store_true", help="call the code that decides itself")
    options = parser.parse_args()
    decide, began = one_by_one if options.one_by_one else together, time.monotonic()
    print(f"| {options.trials} trials a row | ends as | share | median labels, or inputs of the candidate |")
    print("|---|---|---|---|")
    for row in rows():
        if not row.name.startswith(tuple(options.only)):
            continue
        for end, (share, median) in simulate(row, options.trials, decide=decide).items():
            print(f"| {row.name} | {end} | {share:.1%} | {'' if median is None else round(median)} |")
        sys.stdout.flush()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
