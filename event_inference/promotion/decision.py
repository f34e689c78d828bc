"""Whether a candidate replaces the stable version, is rolled back, serves more, or goes on as it is."""

import math
from dataclasses import dataclass
from typing import Literal

from event_inference.promotion import evalues, interval
from event_inference.promotion.evidence import Evidence

Action = Literal["promote", "roll_back", "raise_share", "wait", "undecided"]

GUARDS = {
    "errors": "fails more often",
    "refusals": "rejects more inputs",
    "slow": "is slower",
    "corrections": "is corrected more often",
    "worse": "is less accurate",
}
MISSING = {
    "inputs_missing": "Its share of the inputs with an outcome is not what it should be, so some may be missing.",
    "labels_missing": "Its share of the labels is not what it should be, so they may have been chosen.",
}
DOUBT = math.log(3)  # evidence against the candidate that stops its share from rising, long before a rollback

TOLERATED = 0.05  # of the candidate's inputs, that the stable version answered in its place


@dataclass(frozen=True, slots=True)
class Rules:
    """What a candidate is held to.

    Args:
        alpha: the probability of promoting a candidate that is not better, at most, however often one looks.
        guard_alpha: that of rolling back a sound candidate, by each of the guards.
        margin: how much accuracy the candidate may lose and still be promoted, by labels of inputs that both versions
            predicted; 0 requires it to be better.
        horizon: labels of its answers after which nothing more is expected, and the stable version stays.
        days: the same by time.
        inputs_per_step: inputs that the candidate serves before its share rises.
        shares: of the candidate, in steps; without any, it is promoted as soon as it is known to be better.
        limit_answers: of the stable version, whose times fix the limit above which an answer is slow.
        budget: the part of its inputs that the candidate may fail; beyond it, its share does not rise. A rollback takes
            more errors than the stable version has, since an outage hits both.
    """

    alpha: float = 0.05
    guard_alpha: float = 0.01
    margin: float = 0.0
    horizon: int = 10_000
    days: float = 30.0
    inputs_per_step: int = 100
    shares: tuple[float, ...] = (0.01, 0.05, 0.1, 0.25, 0.5)
    limit_answers: int = 200
    budget: float = 0.05

    def following(self, share: float) -> float | None:
        """The next step after a share."""
        return next((step for step in self.shares if step > share), None)


@dataclass(frozen=True, slots=True)
class Situation:
    """The experiment as it runs: the candidate's share, 0 in shadow, and the days since the experiment began."""

    share: float = 0.0
    days: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """An action with all that it follows from, so that anyone can compute it again.

    `share` is the candidate's if it rises. `e_values` are natural logarithms, to be compared with `thresholds`;
    `difference` is an interval for the candidate's accuracy less the stable version's.
    """

    action: Action
    reason: str
    e_values: dict[str, float]
    thresholds: dict[str, float]
    difference: tuple[float, float] | None
    share: float | None = None


def decide(evidence: Evidence, rules: Rules, situation: Situation | None = None) -> Decision:
    """The decision that the evidence supports now.

    Args:
        situation: of an experiment with traffic; without one, the versions are only compared.
    """
    e_values = {
        "better": evalues.better(evidence.pairs, rules.margin) + evalues.less(evidence.mistakes),
        "worse": evalues.worse(evidence.pairs) + evalues.more(evidence.mistakes),
        "errors": evalues.more(evidence.errors) + evalues.worse(evidence.failing),
        "refusals": evalues.more(evidence.refusals),
        "slow": evalues.more(evidence.slow) + evalues.worse(evidence.slowing),
        "corrections": evalues.more(evidence.corrections),
        "inputs_missing": evalues.uneven(evidence.errors),
        "labels_missing": evalues.uneven(evidence.mistakes),
        "budget": evalues.over(
            rules.budget,
            sum(split.candidate_yes for split in evidence.errors),
            sum(split.candidate_no for split in evidence.errors),
        ),
    }
    guard = -math.log(rules.guard_alpha)
    thresholds = {"better": -math.log(rules.alpha), **dict.fromkeys((*GUARDS, *MISSING, "budget"), guard)}
    action, reason, share = _action(evidence, rules, situation, e_values, thresholds)
    difference = interval.difference(evidence.pairs, evidence.mistakes, rules.alpha)
    return Decision(action, reason, e_values, thresholds, difference, share)


def _action(
    evidence: Evidence,
    rules: Rules,
    situation: Situation | None,
    e_values: dict[str, float],
    thresholds: dict[str, float],
) -> tuple[Action, str, float | None]:
    alarms = [words for guard, words in GUARDS.items() if e_values[guard] >= thresholds[guard]]
    if alarms:
        return "roll_back", f"The candidate {' and '.join(alarms)}.", None
    labels = evidence.labels
    is_better = e_values["better"] >= thresholds["better"]
    share = situation.share if situation else 0.0
    following = rules.following(share) if situation else None
    held = _held(evidence, rules, share, e_values, thresholds) if situation else None
    if is_better and following is None and not held:
        return "promote", f"The candidate is better by {labels:,} labels.", None
    if situation and situation.days >= rules.days:
        return "undecided", f"{situation.days:.0f} days show no difference; the stable version stays.", None
    if labels >= rules.horizon and not is_better:
        return "undecided", f"{labels:,} labels show no difference; the stable version stays.", None
    if following is not None and not held and (share or is_better):
        so_far = f"at a share of {share:.0%}" if share else f"in shadow, where it is better by {labels:,} labels"
        return "raise_share", f"Nothing speaks against the candidate {so_far}.", following
    return "wait", " ".join(filter(None, (held, _lacking(labels, is_better=is_better)))), None


def _held(
    evidence: Evidence, rules: Rules, share: float, e_values: dict[str, float], thresholds: dict[str, float]
) -> str | None:
    """Why the candidate may not serve more inputs yet."""
    doubts = [words for guard, words in GUARDS.items() if e_values[guard] >= DOUBT]
    if doubts:
        return f"Perhaps the candidate {' and '.join(doubts)}."
    for name, words in MISSING.items():
        if e_values[name] >= thresholds[name]:
            return words
    if e_values["budget"] >= thresholds["budget"]:
        return (
            f"The candidate fails more than {rules.budget:.1%} of its inputs, though not more than the stable version."
        )
    if evidence.unserved > TOLERATED * evidence.served():
        return f"{evidence.unserved:,} of its {evidence.served():,} inputs met no instance that serves the candidate."
    served = evidence.served(share) if share else evidence.failing.labels
    if served < rules.inputs_per_step:
        where = f"served at a share of {share:.0%}" if share else "predicted in shadow"
        return f"{served:,} of {rules.inputs_per_step:,} inputs were {where}."
    return None


def _lacking(labels: int, *, is_better: bool) -> str | None:
    if is_better:
        return f"The candidate is better by {labels:,} labels."
    return f"{labels:,} labels do not decide." if labels else "No input has a label yet."
