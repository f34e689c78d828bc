"""Simulates candidates whose quality is known, and counts what the code that decides makes of them.

    .venv/bin/python -m benchmarks.promotion.simulate [--trials 5000] [--only ramp]

Each trial looks after every disagreement of the two versions, or after every 50 inputs of a split.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from event_inference.promotion.decision import Action, Rules, Situation, decide
from event_inference.promotion.evidence import Evidence, Pairs, Split
from event_inference.promotion.interval import difference

LOOK_EVERY = 50
BASE_ERRORS = 0.001  # of the stable version, and of a sound candidate

Chance = np.random.Generator


@dataclass(frozen=True)
class Trial:
    """How one candidate ended, and after how many labels or inputs of the candidate."""

    action: Action | str
    after: int


@dataclass(frozen=True)
class Row:
    """What is simulated, and the ends that are counted."""

    name: str
    run: Callable[[Chance], Trial]
    ends: tuple[Action | str, ...]


def paired(stable: float, candidate: float, disagreeing: float, rules: Rules, horizon: int) -> Callable[..., Trial]:
    """Both versions predict every input; they disagree on a part of them, and one of the two is right there."""
    wins = (disagreeing + candidate - stable) / 2 / disagreeing

    def run(chance: Chance) -> Trial:
        labels = np.cumsum(chance.geometric(disagreeing, int(1.3 * horizon * disagreeing) + 100))
        won = np.cumsum(chance.random(len(labels)) < wins)
        for number, (label, win) in enumerate(zip(labels.tolist(), won.tolist(), strict=True), 1):
            if label > horizon:
                break
            same = label - number if rules.margin else 0  # which changes nothing without a margin
            least, most = (0, 0) if rules.margin else _bounds(number, rules)
            if most < win < least:
                continue
            if (action := _of_pairs(win, number - win, same, rules)) in ("promote", "roll_back"):
                return Trial(action, label)
        return Trial("undecided", horizon)

    return run


@cache
def _bounds(disagreements: int, rules: Rules) -> tuple[int, int]:
    """The fewest wins that promote and the most that roll back, of so many disagreements without a margin."""

    def first(*actions: Action) -> int:
        low, high = 0, disagreements + 1
        while low < high:
            middle = (low + high) // 2
            if middle <= disagreements and _of_pairs(middle, disagreements - middle, 0, rules) not in actions:
                low = middle + 1
            else:
                high = middle
        return low

    return first("promote"), first("promote", "wait", "undecided") - 1


@lru_cache(maxsize=1 << 20)
def _of_pairs(win: int, loss: int, same: int, rules: Rules) -> Action:
    return decide(Evidence(pairs=Pairs(win, loss, same)), rules).action


def labelled(stable: float, candidate: float, share: float, rules: Rules, labels: int) -> Callable[..., Trial]:
    """Each input has one version and a label."""
    cells = _cells(share, 1 - candidate, 1 - stable)

    def run(chance: Chance) -> Trial:
        counts = np.zeros(4, dtype=int)
        for number in range(LOOK_EVERY, labels + 1, LOOK_EVERY):
            counts += chance.multinomial(LOOK_EVERY, cells)
            action = decide(Evidence(mistakes=(Split(share, *counts.tolist()),)), rules).action
            if action in ("promote", "roll_back"):
                return Trial(action, number)
        return Trial("undecided", labels)

    return run


def split(
    kind: str, stable: float, candidate: float, share: float, inputs: int, burst: float = 0.0
) -> Callable[..., Trial]:
    """Each input has one version. With `burst`, that part of the periods is an outage in which both fail."""

    def run(chance: Chance) -> Trial:
        counts = [0, 0, 0, 0]
        outage = False
        for number in range(1, inputs + 1):
            if number % LOOK_EVERY == 1:
                outage = chance.random() < burst
                draws = chance.random((LOOK_EVERY, 2)).tolist()
            by_candidate = draws[number % LOOK_EVERY][0] < share
            happened = outage or draws[number % LOOK_EVERY][1] < (candidate if by_candidate else stable)
            counts[(0 if by_candidate else 2) + (0 if happened else 1)] += 1
            if number % LOOK_EVERY == 0 or (by_candidate and happened):
                counted = (Split(share, *counts),)
                evidence = Evidence(errors=counted) if kind == "errors" else Evidence(slow=counted)
                decision = decide(evidence, Rules())
                if decision.e_values["budget"] >= decision.thresholds["budget"] and kind == "errors" and burst:
                    return Trial("over budget", counts[0] + counts[1])
                if decision.action in ("promote", "roll_back"):
                    return Trial(decision.action, counts[0] + counts[1])
        return Trial("undecided", counts[0] + counts[1])

    return run


def ramp(stable: float, candidate: float, errors: float, rules: Rules, inputs: int) -> Callable[..., Trial]:
    """A candidate whose share rises by the decisions themselves; every answer gets its label."""

    def run(chance: Chance) -> Trial:
        share = rules.shares[0]
        phases: dict[float, np.ndarray] = {}
        for _ in range(LOOK_EVERY, inputs + 1, LOOK_EVERY):
            counts = phases.setdefault(share, np.zeros(6, dtype=int))
            counts += chance.multinomial(LOOK_EVERY, _outcomes(share, errors, candidate, stable))
            decision = decide(_evidence(phases), rules, Situation(share))
            if decision.action in ("promote", "roll_back"):
                return Trial(decision.action, int(sum(counts[:3].sum() for counts in phases.values())))
            share = decision.share or share
        return Trial("undecided", inputs)

    return run


def coverage(stable: float, candidate: float, share: float, labels: int) -> Callable[..., Trial]:
    """Whether the interval ever misses the difference."""
    cells = _cells(share, 1 - candidate, 1 - stable)

    def run(chance: Chance) -> Trial:
        counts = np.zeros(4, dtype=int)
        for number in range(LOOK_EVERY, labels + 1, LOOK_EVERY):
            counts += chance.multinomial(LOOK_EVERY, cells)
            bounds = difference(Pairs(), [Split(share, *counts.tolist())], 0.05)
            if bounds and not bounds[0] <= candidate - stable <= bounds[1]:
                return Trial("missed", number)
        return Trial("held", labels)

    return run


def _cells(share: float, candidate: float, stable: float) -> list[float]:
    """The chances of the four counts of a split."""
    return [share * candidate, share * (1 - candidate), (1 - share) * stable, (1 - share) * (1 - stable)]


@lru_cache
def _outcomes(share: float, errors: float, candidate: float, stable: float) -> tuple[float, ...]:
    """The chances that an input fails, is answered wrongly or rightly by the candidate, and the same by the stable."""
    return tuple(
        part * outcome
        for part, failing, right in ((share, errors, candidate), (1 - share, BASE_ERRORS, stable))
        for outcome in (failing, (1 - failing) * (1 - right), (1 - failing) * right)
    )


def _evidence(phases: dict[float, np.ndarray]) -> Evidence:
    counted: list[tuple[float, Sequence[int]]] = [(share, counts.tolist()) for share, counts in phases.items()]
    return Evidence(
        mistakes=tuple(Split(share, a[1], a[2], a[4], a[5]) for share, a in counted),
        errors=tuple(Split(share, a[0], a[1] + a[2], a[3], a[4] + a[5]) for share, a in counted),
    )


def rows() -> Iterator[Row]:
    plain = Rules(guard_alpha=0.05)
    promoted, ended = ("promote",), ("promote", "roll_back")
    yield Row("paired, equal (.80), d = .10", paired(0.80, 0.80, 0.10, plain, 10_000), promoted)
    yield Row("paired, equal, 3,000 disagreements", paired(0.80, 0.80, 0.10, plain, 30_000), promoted)
    yield Row("paired, equal, promotion at alpha = .01", paired(0.8, 0.8, 0.1, Rules(alpha=0.01), 10_000), promoted)
    for candidate, disagreeing in ((0.85, 0.10), (0.85, 0.30), (0.82, 0.10), (0.81, 0.10)):
        name = f"paired, .80 to {candidate:.2f}, d = {disagreeing:.2f}".replace("0.", ".")
        yield Row(name, paired(0.80, candidate, disagreeing, plain, 10_000), promoted)
    no_worse = Rules(margin=0.01, guard_alpha=0.05)
    yield Row("paired, not worse by 1 point, equal", paired(0.80, 0.80, 0.10, no_worse, 10_000), promoted)
    yield Row("paired, not worse by 1 point, .80 to .79", paired(0.80, 0.79, 0.10, no_worse, 10_000), promoted)
    yield Row("paired, .80 to .75, d = .15", paired(0.80, 0.75, 0.15, plain, 10_000), ("roll_back",))
    yield Row("paired, .80 to .50, d = .40", paired(0.80, 0.50, 0.40, plain, 10_000), ("roll_back",))
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


def simulate(row: Row, trials: int, seed: int = 1) -> dict[str, tuple[float, float | None]]:
    """By end, the part of the trials that end so, and the median of labels or inputs after which they do."""
    chance = np.random.default_rng(seed)
    trial = [row.run(chance) for _ in range(trials)]
    ended = {}
    for end in row.ends:
        after = [each.after for each in trial if each.action == end]
        ended[end] = (len(after) / trials, statistics.median(after) if after else None)
    return ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--only", nargs="*", default=[""], help="rows whose name begins with one of these")
    options = parser.parse_args()
    print(f"| {options.trials} trials a row | ends as | share | median labels, or inputs of the candidate |")
    print("|---|---|---|---|")
    for row in rows():
        if not row.name.startswith(tuple(options.only)):
            continue
        for end, (share, median) in simulate(row, options.trials).items():
            print(f"| {row.name} | {end} | {share:.1%} | {'' if median is None else round(median)} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
