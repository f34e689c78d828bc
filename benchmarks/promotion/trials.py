"""Candidates of known quality: what happens in many trials at once, and how each of them ends."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.promotion.arrays import Counts, Decide, Flags, Trials
from event_inference.promotion.decision import Action, Rules
from event_inference.promotion.evidence import Pairs, Split
from event_inference.promotion.interval import difference

LOOK_EVERY = 50
BASE_ERRORS = 0.001  # of the stable version, and of a sound candidate
FINAL = ("promote", "roll_back")

Chance = np.random.Generator


@dataclass(frozen=True)
class Trial:
    """How one candidate ended, and after how many labels or inputs of the candidate."""

    action: Action | str
    after: int


Run = Callable[[Chance, int, Decide], list[Trial]]


class Ends:
    """How the trials end; those that have not ended are `open`."""

    def __init__(self, trials: int) -> None:
        self._action = np.full(trials, "undecided", dtype="U11")
        self._after = np.zeros(trials, dtype=int)
        self.open = np.arange(trials)

    def note(self, action: NDArray[np.str_], after: Counts, ended: Flags) -> Flags:
        """Notes the actions of open trials that end by them; returns which of the open ones stay open."""
        self._action[self.open[ended]] = action[ended]
        self._after[self.open[ended]] = after[ended]
        self.open = self.open[~ended]
        return ~ended

    def trials(self) -> list[Trial]:
        return [Trial(*each) for each in zip(self._action.tolist(), self._after.tolist(), strict=True)]


def paired(stable: float, candidate: float, disagreeing: float, rules: Rules) -> Run:
    """Both versions predict every input; they disagree on a part of them, and one of the two is right there."""
    wins = (disagreeing + candidate - stable) / 2 / disagreeing

    def run(chance: Chance, trials: int, decide: Decide) -> list[Trial]:
        ends = Ends(trials)
        labels, won = np.zeros((2, trials), dtype=int)
        number = 0
        while len(ends.open):
            number += 1
            labels = labels + chance.geometric(disagreeing, len(labels))
            won = won + (chance.random(len(won)) < wins)
            action = decide(
                Trials(len(won), pairs=np.stack([won, number - won, labels - number], axis=1)), rules
            ).action
            action[labels > rules.horizon] = "undecided"
            stay = ends.note(action, labels, np.isin(action, (*FINAL, "undecided")))
            labels, won = labels[stay], won[stay]
        return ends.trials()

    return run


def labelled(stable: float, candidate: float, share: float, rules: Rules, labels: int) -> Run:
    """Each input has one version and a label."""
    cells = _cells(share, 1 - candidate, 1 - stable)

    def run(chance: Chance, trials: int, decide: Decide) -> list[Trial]:
        ends = Ends(trials)
        counts = np.zeros((trials, 1, 4), dtype=int)
        for number in range(LOOK_EVERY, labels + 1, LOOK_EVERY):
            counts[:, 0] += chance.multinomial(LOOK_EVERY, cells, len(counts))
            action = decide(Trials(len(counts), shares=(share,), mistakes=counts), rules).action
            stay = ends.note(action, np.full(len(counts), number), np.isin(action, FINAL))
            counts = counts[stay]
        return ends.trials()

    return run


def split(kind: str, stable: float, candidate: float, share: float, inputs: int, burst: float = 0.0) -> Run:
    """Each input has one version. With `burst`, that part of the periods is an outage in which both fail.

    It looks after every 50 inputs, and whenever something happens to the candidate.
    """
    rules = Rules()

    def run(chance: Chance, trials: int, decide: Decide) -> list[Trial]:
        ends = Ends(trials)
        counts = np.zeros((trials, 1, 4), dtype=int)
        outage = np.zeros(trials, dtype=bool)
        for number in range(1, inputs + 1):
            if number % LOOK_EVERY == 1:
                outage = chance.random(len(counts)) < burst
            by_candidate = chance.random(len(counts)) < share
            happened = outage | (chance.random(len(counts)) < np.where(by_candidate, candidate, stable))
            counts[np.arange(len(counts)), 0, np.where(by_candidate, 0, 2) + np.where(happened, 0, 1)] += 1
            looks = np.flatnonzero((by_candidate & happened) | (number % LOOK_EVERY == 0))
            if not len(looks):
                continue
            seen = counts[looks]
            decided = decide(Trials(len(looks), shares=(share,), **{kind: seen}), rules)
            action = np.full(len(counts), "wait", dtype="U11")
            action[looks] = np.where(decided.over_budget & (burst > 0), "over budget", decided.action)
            stay = ends.note(action, counts[:, 0, :2].sum(axis=1), np.isin(action, (*FINAL, "over budget")))
            counts, outage = counts[stay], outage[stay]
        return ends.trials()

    return run


def ramp(stable: float, candidate: float, errors: float, rules: Rules, inputs: int) -> Run:
    """A candidate whose share rises by the decisions themselves; every answer gets its label."""
    shares = rules.shares
    outcomes = [_outcomes(share, errors, candidate, stable) for share in shares]

    def run(chance: Chance, trials: int, decide: Decide) -> list[Trial]:
        ends = Ends(trials)
        counts = np.zeros((trials, len(shares), 6), dtype=int)
        share = np.full(trials, shares[0])
        for _ in range(LOOK_EVERY, inputs + 1, LOOK_EVERY):
            for step, each in enumerate(shares):
                there = np.flatnonzero(share == each)
                counts[there, step] += chance.multinomial(LOOK_EVERY, outcomes[step], len(there))
            failed, wrong, right = counts[:, :, 0::3], counts[:, :, 1::3], counts[:, :, 2::3]
            mistakes = np.stack([wrong, right], axis=3).reshape(len(counts), len(shares), 4)
            faults = np.stack([failed, wrong + right], axis=3).reshape(len(counts), len(shares), 4)
            decided = decide(Trials(len(counts), shares=shares, mistakes=mistakes, errors=faults), rules, share)
            after = counts[:, :, :3].sum(axis=(1, 2))
            stay = ends.note(decided.action, after, np.isin(decided.action, FINAL))
            counts, share = counts[stay], decided.share[stay]
        return ends.trials()

    return run


def coverage(stable: float, candidate: float, share: float, labels: int) -> Run:
    """Whether the interval ever misses the difference."""
    cells = _cells(share, 1 - candidate, 1 - stable)

    def missed(counts: Counts) -> bool:
        bounds = difference(Pairs(), [Split(share, *counts.tolist())], 0.05)
        return bounds is not None and not bounds[0] <= candidate - stable <= bounds[1]

    def run(chance: Chance, trials: int, _: Decide) -> list[Trial]:
        ends = Ends(trials)
        counts = np.zeros((trials, 4), dtype=int)
        for number in range(LOOK_EVERY, labels + 1, LOOK_EVERY):
            counts += chance.multinomial(LOOK_EVERY, cells, len(counts))
            action = np.where([missed(each) for each in counts], "missed", "wait")
            counts = counts[ends.note(action, np.full(len(counts), number), action == "missed")]
        return ends.trials()

    return run


def _cells(share: float, candidate: float, stable: float) -> list[float]:
    """The chances of the four counts of a split."""
    return [share * candidate, share * (1 - candidate), (1 - share) * stable, (1 - share) * (1 - stable)]


def _outcomes(share: float, errors: float, candidate: float, stable: float) -> tuple[float, ...]:
    """The chances that an input fails, is answered wrongly or rightly by the candidate, and the same by the stable."""
    return tuple(
        part * outcome
        for part, failing, right in ((share, errors, candidate), (1 - share, BASE_ERRORS, stable))
        for outcome in (failing, (1 - failing) * (1 - right), (1 - failing) * right)
    )
