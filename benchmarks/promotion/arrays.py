"""Decides on many trials at once, in numpy, as `event_inference.promotion.decision` decides on one.

`one_by_one` is that code itself; a test compares the two at every look.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from event_inference.promotion import decision, evalues
from event_inference.promotion.decision import DOUBT, Rules, Situation
from event_inference.promotion.evidence import Evidence, Pairs, Split

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trials:
    """What is known in each of so many trials.

    Args:
        pairs: (trials, 3): as `Pairs` counts them.
        shares: of the splits.
        mistakes, errors, slow: (trials, shares, 4): as `Split` counts them.
    """

    count: int
    pairs: Counts | None = None
    shares: tuple[float, ...] = ()
    mistakes: Counts | None = None
    errors: Counts | None = None
    slow: Counts | None = None

    def evidence(self, trial: int) -> Evidence:
        return Evidence(
            pairs=Pairs() if self.pairs is None else Pairs(*self.pairs[trial].tolist()),
            mistakes=self._splits(self.mistakes, trial),
            errors=self._splits(self.errors, trial),
            slow=self._splits(self.slow, trial),
        )

    def _splits(self, counts: Counts | None, trial: int) -> tuple[Split, ...]:
        if counts is None:
            return ()
        counted = zip(self.shares, counts[trial].tolist(), strict=True)
        return tuple(Split(share, *each) for share, each in counted if any(each))


@dataclass(frozen=True, slots=True)
class Decisions:
    """By trial: the action, the share that it leads to, and whether the candidate is over its budget."""

    action: NDArray[np.str_]
    share: Numbers
    over_budget: Flags


class Decide(Protocol):
    def __call__(self, trials: Trials, rules: Rules, share: Numbers | None = None) -> Decisions:
        """The decisions in all trials; `share` is the candidate's in each, None without traffic."""
        ...


def one_by_one(trials: Trials, rules: Rules, share: Numbers | None = None) -> Decisions:
    decided = [
        decision.decide(trials.evidence(trial), rules, None if share is None else Situation(float(share[trial])))
        for trial in range(trials.count)
    ]
    before = np.zeros(trials.count) if share is None else share
    return Decisions(
        np.array([each.action for each in decided], dtype="U11"),
        np.array([each.share or old for each, old in zip(decided, before, strict=True)], dtype=float),
        np.array([each.e_values["budget"] >= each.thresholds["budget"] for each in decided], dtype=bool),
    )


def together(trials: Trials, rules: Rules, share: Numbers | None = None) -> Decisions:
    guard, none = -np.log(rules.guard_alpha), np.zeros(trials.count)
    mistakes, errors, slow = trials.mistakes, trials.errors, trials.slow
    better, worse = none, none
    if trials.pairs is not None:
        better, worse = _better(trials.pairs, rules.margin), _better(trials.pairs[:, [1, 0, 2]], 0.0)
    if mistakes is not None:
        better, worse = better + _less(mistakes, trials.shares), worse + _more(mistakes, trials.shares)
    guards = [worse, *(_more(counts, trials.shares) for counts in (errors, slow) if counts is not None)]
    doubt = np.max(guards, axis=0)
    over_budget = none > 0 if errors is None else _over(rules.budget, errors) >= guard
    is_better = better >= -np.log(rules.alpha)
    labels = (0 if trials.pairs is None else trials.pairs.sum(axis=1)) + (
        0 if mistakes is None else mistakes[:, :, :2].sum(axis=(1, 2))
    )
    action = np.full(trials.count, "wait", dtype="U11")
    following = np.full(trials.count, np.nan)
    held = none > 0
    if share is not None:
        following = np.append(rules.shares, np.nan)[np.searchsorted(rules.shares, share, side="right")]
        held = over_budget | (doubt >= DOUBT) | (_served(trials, share) < rules.inputs_per_step)
        for counts in (errors, mistakes):
            if counts is not None:
                held |= _uneven(counts, trials.shares) >= guard
        action[~np.isnan(following) & ~held] = "raise_share"
    action[(labels >= rules.horizon) & ~is_better] = "undecided"
    action[is_better & np.isnan(following) & ~held] = "promote"
    action[doubt >= guard] = "roll_back"
    before = none if share is None else share
    return Decisions(action, np.where(action == "raise_share", following, before), over_budget)


def _served(trials: Trials, share: Numbers) -> Counts | int:
    """The inputs that the candidate served at its present share."""
    if trials.errors is None:
        return 0
    at_share = np.equal.outer(share, trials.shares)
    served: Counts = (trials.errors[:, :, :2].sum(axis=2) * at_share).sum(axis=1)
    return served


def _better(pairs: Counts, margin: float) -> Numbers:
    stakes = np.array([stake for stake in evalues.STAKES if stake * (1 - margin) < 1])
    gains = np.log1p([stakes * (1 + margin), -stakes * (1 - margin), stakes * margin])
    return _log_mean(pairs @ gains)


def _more(counts: Counts, shares: tuple[float, ...]) -> Numbers:
    return _ratio(counts[:, :, 0], counts[:, :, 2], shares, evalues.RATIOS)


def _uneven(counts: Counts, shares: tuple[float, ...]) -> Numbers:
    return _ratio(counts[:, :, :2].sum(axis=2), counts[:, :, 2:].sum(axis=2), shares, evalues.UNEVEN)


def _ratio(candidate: Counts, stable: Counts, shares: tuple[float, ...], ratios: tuple[float, ...]) -> Numbers:
    losses = np.array([evalues.losses(share, ratios) for share in shares])
    return _log_mean(np.multiply.outer(candidate.sum(axis=1), np.log(ratios)) - (candidate + stable) @ losses)


def _less(counts: Counts, shares: tuple[float, ...]) -> Numbers:
    gains: Any = np.array([evalues.gains(share, evalues.MISTAKEN) for share in shares])  # shares, bets, counts
    return _log_mean(np.einsum("tsc,sbc->tb", counts[:, :, [0, 2, 1, 3]], gains, optimize=True))


def _over(budget: float, counts: Counts) -> Numbers:
    rates = budget + (1 - budget) * np.array([0.01, 0.05, 0.2, 0.5, 0.9])
    gains = np.log([rates / budget, (1 - rates) / (1 - budget)])
    return _log_mean(counts[:, :, :2].sum(axis=1) @ gains)


def _log_mean(logs: Any) -> Numbers:
    largest = logs.max(axis=1)
    mean: Numbers = largest + np.log(np.exp(logs - largest[:, None]).mean(axis=1))
    return mean
