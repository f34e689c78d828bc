"""Simulates candidates whose quality is known, and counts what the code that decides makes of them.

    .venv/bin/python -m benchmarks.promotion.simulate [--trials 5000]

Each trial looks after every disagreement of the two versions, or after every 50 inputs of a split.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from event_inference.promotion.decision import Action, Rules, decide
from event_inference.promotion.evidence import Evidence, Pairs, Split

LOOK_EVERY = 50


@dataclass(frozen=True)
class Trial:
    """How one candidate ended, and after how many labels or inputs of the candidate."""

    action: Action
    after: int


@dataclass(frozen=True)
class Row:
    name: str
    run: Callable[[random.Random], Trial]
    expected: Action


def paired(stable: float, candidate: float, disagreeing: float, rules: Rules, horizon: int) -> Callable[..., Trial]:
    """Both versions predict every input; they disagree on a part of them, and one of the two is right there."""
    wins = (disagreeing + candidate - stable) / 2

    def run(chance: random.Random) -> Trial:
        win = loss = labels = 0
        while labels < horizon:
            labels += geometric(chance, disagreeing)
            if chance.random() < wins / disagreeing:
                win += 1
            else:
                loss += 1
            if (action := _of_pairs(win, loss, rules)) in ("promote", "roll_back"):
                return Trial(action, labels)
        return Trial("undecided", horizon)

    return run


@lru_cache(maxsize=1 << 20)
def _of_pairs(win: int, loss: int, rules: Rules) -> Action:
    return decide(Evidence(pairs=Pairs(win, loss)), rules).action


def split(
    kind: str, stable: float, candidate: float, share: float, rules: Rules, inputs: int, burst: float = 0.0
) -> Callable[..., Trial]:
    """Each input has one version. With `burst`, that part of the periods is an outage in which both fail."""

    def run(chance: random.Random) -> Trial:
        counts = [0, 0, 0, 0]
        for number in range(1, inputs + 1):
            if number % LOOK_EVERY == 1:
                outage = chance.random() < burst
            by_candidate = chance.random() < share
            happened = outage or chance.random() < (candidate if by_candidate else stable)
            counts[(0 if by_candidate else 2) + (0 if happened else 1)] += 1
            if number % LOOK_EVERY == 0 or (by_candidate and happened):
                action = decide(_evidence(kind, Split(share, *counts)), rules, share).action
                if action in ("promote", "roll_back"):
                    return Trial(action, counts[0] + counts[1])
        return Trial("undecided", counts[0] + counts[1])

    return run


def _evidence(kind: str, counted: Split) -> Evidence:
    return Evidence(errors=(counted,)) if kind == "errors" else Evidence(slow=(counted,))


def ramp(stable: float, candidate: float, errors: float, rules: Rules, inputs: int) -> Callable[..., Trial]:
    """A candidate whose share rises by the decisions themselves; every input gets its label."""

    def run(chance: random.Random) -> Trial:
        share = rules.shares[0]
        phases: dict[float, tuple[list[int], list[int]]] = {}
        for number in range(1, inputs + 1):
            mistakes, failures = phases.setdefault(share, ([0, 0, 0, 0], [0, 0, 0, 0]))
            by_candidate = chance.random() < share
            failed = chance.random() < (errors if by_candidate else 0.001)
            failures[(0 if by_candidate else 2) + (0 if failed else 1)] += 1
            if not failed:
                wrong = chance.random() >= (candidate if by_candidate else stable)
                mistakes[(0 if by_candidate else 2) + (0 if wrong else 1)] += 1
            if number % LOOK_EVERY == 0:
                evidence = Evidence(
                    mistakes=tuple(Split(at, *counts[0]) for at, counts in phases.items()),
                    errors=tuple(Split(at, *counts[1]) for at, counts in phases.items()),
                )
                action = decide(evidence, rules, share).action
                if action in ("promote", "roll_back"):
                    return Trial(action, sum(failures[0] + failures[1] for _, failures in phases.values()))
                if action == "raise_share":
                    share = next(step for step in rules.shares if step > share)
        return Trial("undecided", inputs)

    return run


def geometric(chance: random.Random, probability: float) -> int:
    """The number of inputs up to the next that happens with this probability."""
    count = 1
    while chance.random() >= probability:
        count += 1
    return count


def rows() -> Iterator[Row]:
    plain, careful = Rules(guard_alpha=0.05), Rules()
    quick = Rules(inputs_per_step=100)
    yield Row("paired, equal (.80), d = .10", paired(0.80, 0.80, 0.10, plain, 10_000), "promote")
    yield Row("paired, equal, promotion at alpha = .01", paired(0.80, 0.80, 0.1, Rules(alpha=0.01), 10_000), "promote")
    yield Row("paired, .80 to .85, d = .10", paired(0.80, 0.85, 0.10, plain, 10_000), "promote")
    yield Row("paired, .80 to .85, d = .30", paired(0.80, 0.85, 0.30, plain, 10_000), "promote")
    yield Row("paired, .80 to .82, d = .10", paired(0.80, 0.82, 0.10, plain, 10_000), "promote")
    yield Row("paired, .80 to .81, d = .10", paired(0.80, 0.81, 0.10, plain, 10_000), "promote")
    yield Row("paired, .80 to .75, d = .15", paired(0.80, 0.75, 0.15, plain, 10_000), "roll_back")
    yield Row("paired, .80 to .50, d = .40", paired(0.80, 0.50, 0.40, plain, 10_000), "roll_back")
    yield Row("errors .1 % in both, 10 % split", split("errors", 0.001, 0.001, 0.1, careful, 5_000), "roll_back")
    for rate in (0.05, 0.2, 0.5, 1.0):
        yield Row(f"errors .1 % to {rate:.0%}", split("errors", 0.001, rate, 0.1, careful, 5_000), "roll_back")
    yield Row("errors, outages of both", split("errors", 0.001, 0.001, 0.1, careful, 5_000, 0.05), "roll_back")
    yield Row("slow 5 % in both", split("slow", 0.05, 0.05, 0.1, careful, 5_000), "roll_back")
    for rate in (0.10, 0.20, 0.40):
        yield Row(f"slow 5 % to {rate:.0%}", split("slow", 0.05, rate, 0.1, careful, 20_000), "roll_back")
    yield Row("ramp, equal (.80)", ramp(0.80, 0.80, 0.001, quick, 20_000), "promote")
    yield Row("ramp, equal, rolled back", ramp(0.80, 0.80, 0.001, quick, 20_000), "roll_back")
    yield Row("ramp, .80 to .85", ramp(0.80, 0.85, 0.001, quick, 40_000), "promote")
    yield Row("ramp, .80 to .75", ramp(0.80, 0.75, 0.001, quick, 40_000), "roll_back")
    yield Row("ramp, errors in 30 %", ramp(0.80, 0.80, 0.3, quick, 20_000), "roll_back")


def simulate(row: Row, trials: int, seed: int = 1) -> tuple[float, float | None]:
    """The part of the trials that end as named, and the median of labels or inputs after which they do."""
    chance = random.Random(seed)
    ended = [row.run(chance) for _ in range(trials)]
    after = [trial.after for trial in ended if trial.action == row.expected]
    return len(after) / trials, statistics.median(after) if after else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    print(f"| {options.trials} trials a row | ends as | share | median labels, or inputs of the candidate |")
    print("|---|---|---|---|")
    for row in rows():
        if options.only in row.name:
            share, median = simulate(row, options.trials)
            print(f"| {row.name} | {row.expected} | {share:.1%} | {'' if median is None else round(median)} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
