"""The simulation's decisions on many trials at once are those of the code that decides, at every look."""

import numpy as np
import pytest

from benchmarks.promotion.arrays import Decisions, Numbers, Trials, one_by_one, together
from benchmarks.promotion.trials import Run, labelled, paired, ramp, split
from event_inference.promotion.decision import Rules, decide

QUICK = Rules(inputs_per_step=20, horizon=400)
RUNS: dict[str, Run] = {
    "paired": paired(0.8, 0.85, 0.1, Rules(guard_alpha=0.05, horizon=2_000)),
    "paired and worse": paired(0.8, 0.6, 0.3, Rules()),
    "paired with a margin": paired(0.8, 0.83, 0.1, Rules(margin=0.01, horizon=4_000)),
    "labelled": labelled(0.8, 0.87, 0.3, Rules(horizon=500), 2_000),
    "errors": split("errors", 0.01, 0.1, 0.1, 1_500),
    "errors in outages": split("errors", 0.001, 0.001, 0.1, 1_500, 0.1),
    "slow": split("slow", 0.05, 0.2, 0.3, 1_500),
    "ramp": ramp(0.8, 0.85, 0.001, Rules(shares=(0.1, 0.3, 0.5)), 6_000),
    "ramp with doubts": ramp(0.8, 0.78, 0.01, QUICK, 4_000),
    "ramp of a failing one": ramp(0.8, 0.8, 0.2, QUICK, 2_000),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_look_decides_as_the_real_code(name: str) -> None:
    seen: set[str] = set()

    def both(trials: Trials, rules: Rules, share: Numbers | None = None) -> Decisions:
        decided, real = together(trials, rules, share), one_by_one(trials, rules, share)
        np.testing.assert_array_equal(decided.action, real.action)
        np.testing.assert_array_equal(decided.share, real.share)
        np.testing.assert_array_equal(decided.over_budget, real.over_budget)
        seen.update(decided.action.tolist())
        seen.update(["over budget"] * bool(decided.over_budget.any()))
        return decided

    ended = RUNS[name](np.random.default_rng(3), 6, both)
    assert ended == RUNS[name](np.random.default_rng(3), 6, together)
    assert len(seen) > 1


def test_any_counts_are_decided_on_as_by_the_real_code() -> None:
    chance, shares = np.random.default_rng(5), (0.01, 0.1, 0.5)
    count = 400
    scale = chance.choice([1, 20, 1_000], (count, 1, 1))
    drawn = [chance.poisson(scale * chance.choice([0.1, 1, 5], (count, 3, 4))) for _ in range(3)]
    pairs = chance.poisson(chance.choice([1, 30, 3_000], (count, 1)), (count, 3))
    trials = Trials(count, pairs, shares, *drawn)
    for rules in (Rules(), Rules(margin=0.02, alpha=0.2, guard_alpha=0.1, inputs_per_step=5, budget=0.3)):
        for share in (None, chance.choice(shares, count)):
            decided, real = together(trials, rules, share), one_by_one(trials, rules, share)
            np.testing.assert_array_equal(decided.action, real.action)
            np.testing.assert_array_equal(decided.share, real.share)
    assert {decide(trials.evidence(each), Rules()).action for each in range(count)} >= {"wait", "roll_back"}
