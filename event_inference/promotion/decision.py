"""Whether a candidate replaces the stable version, is rolled back, serves more, or goes on as it is."""

import math
from dataclasses import dataclass
from typing import Literal

from event_inference.promotion import evalues, interval
from event_inference.promotion.evidence import Evidence

Action = Literal["promote", "roll_back", "raise_share", "wait", "undecided"]

GUARDS = {
    "errors": "fails more often",
    "slow": "is slower",
    "worse": "is less accurate",
}
DOUBT = math.log(3)  # evidence against the candidate that stops its share from rising, long before a rollback


@dataclass(frozen=True, slots=True)
class Rules:
    """What a candidate is held to.

    Args:
        alpha: the probability of promoting a candidate that is not better, at most, however often one looks.
        guard_alpha: that of rolling back a sound candidate, by each of the three guards.
        margin: how much accuracy the candidate may lose and still be promoted; 0 requires it to be better.
        horizon: labels after which nothing more is expected, and the stable version stays.
        inputs_per_step: inputs that the candidate serves before its share rises.
        shares: of the candidate, in steps.
    """

    alpha: float = 0.05
    guard_alpha: float = 0.01
    margin: float = 0.0
    horizon: int = 10_000
    inputs_per_step: int = 500
    shares: tuple[float, ...] = (0.01, 0.05, 0.1, 0.25, 0.5)


@dataclass(frozen=True, slots=True)
class Decision:
    """An action with all that it follows from, so that anyone can compute it again.

    `e_values` are natural logarithms, to be compared with `thresholds`; `difference` is an interval for the candidate's
    accuracy less the stable version's.
    """

    action: Action
    reason: str
    e_values: dict[str, float]
    thresholds: dict[str, float]
    difference: tuple[float, float] | None


def decide(evidence: Evidence, rules: Rules, share: float | None = None) -> Decision:
    """The decision that the evidence supports now.

    Args:
        share: of the inputs that the candidate serves; None in shadow, where it serves none.
    """
    e_values = {
        "better": evalues.better(evidence.pairs, rules.margin) + evalues.less(evidence.mistakes, evalues.MISTAKEN),
        "worse": evalues.worse(evidence.pairs) + evalues.more(evidence.mistakes, evalues.MISTAKEN),
        "errors": evalues.more(evidence.errors, evalues.FAILING),
        "slow": evalues.more(evidence.slow, evalues.SLOWER),
    }
    guard = -math.log(rules.guard_alpha)
    thresholds = {"better": -math.log(rules.alpha), "worse": guard, "errors": guard, "slow": guard}
    action, reason = _action(evidence, rules, share, e_values, thresholds)
    return Decision(action, reason, e_values, thresholds, interval.difference(evidence.pairs, rules.alpha))


def _action(
    evidence: Evidence, rules: Rules, share: float | None, e_values: dict[str, float], thresholds: dict[str, float]
) -> tuple[Action, str]:
    for guard, words in GUARDS.items():
        if e_values[guard] >= thresholds[guard]:
            return "roll_back", f"The candidate {words}."
    labels = evidence.labels
    if e_values["better"] >= thresholds["better"]:
        return "promote", f"The candidate is better by {labels} labels."
    if labels >= rules.horizon:
        return "undecided", f"{labels} labels show no difference; the stable version stays."
    following = None if share is None else next((step for step in rules.shares if step > share), None)
    doubtful = max(e_values[guard] for guard in GUARDS) >= DOUBT
    if following is not None and not doubtful and _served_at(evidence, share) >= rules.inputs_per_step:
        return "raise_share", f"Nothing speaks against the candidate at a share of {share:.0%}."
    if not labels:
        return "wait", "No input has a label yet."
    return "wait", f"{labels} labels do not decide."


def _served_at(evidence: Evidence, share: float | None) -> int:
    return sum(split.candidate for split in evidence.errors if split.share == share)
