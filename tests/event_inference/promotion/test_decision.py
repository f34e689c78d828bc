"""Decisions on candidates of known quality: the stated bounds hold however often one looks."""

import math
from functools import cache

import pytest

from benchmarks.promotion.simulate import rows, simulate
from event_inference.promotion import evalues
from event_inference.promotion.decision import Rules, Situation, decide
from event_inference.promotion.evidence import Evidence, Pairs, Split
from event_inference.promotion.interval import difference

ROWS = {row.name: row for row in rows()}
BOUNDS = {  # of the part of the trials in which a sound candidate, or one no better, meets this end
    ("paired, equal (.80), d = .10", "promote"): 0.05,
    ("paired, not worse by 1 point, .80 to .79", "promote"): 0.05,
    ("labels, 50% split, .80 to .80", "promote"): 0.05,
    ("labels, 10% split, .80 to .80", "promote"): 0.05,
    ("errors .1 % in both, 10 % split", "roll_back"): 0.01,
    ("errors, outages of both", "roll_back"): 0.01,
    ("slow 5 % in both", "roll_back"): 0.01,
    ("ramp, equal (.80)", "promote"): 0.05,
    ("ramp, equal (.80)", "roll_back"): 0.02,  # by accuracy and by errors
}
FOUND = {  # within so many labels, or inputs of the candidate, in half of the trials
    ("paired, .80 to .85, d = .10", "promote"): 350,
    ("paired, .80 to .50, d = .40", "roll_back"): 40,
    ("labels, 50% split, .80 to .90", "promote"): 450,
    ("errors .1 % to 5%", "roll_back"): 90,
    ("errors .1 % to 50%", "roll_back"): 8,
    ("errors .1 % to 100%", "roll_back"): 4,
    ("slow 5 % to 40% (lognormal, times 2)", "roll_back"): 20,
    ("ramp, .80 to .85", "promote"): 1_000,
    ("ramp, errors in 30 %", "roll_back"): 12,
}


@cache
def ended(name: str, trials: int) -> dict[str, tuple[float, float | None]]:
    return simulate(ROWS[name], trials, seed=7)


@pytest.mark.parametrize(("name", "end", "bound"), [(*key, bound) for key, bound in BOUNDS.items()])
def test_false_decisions_are_as_rare_as_stated(name: str, end: str, bound: float) -> None:
    trials = 400
    share, _ = ended(name, trials)[end]
    assert share <= bound + 3 * math.sqrt(bound * (1 - bound) / trials)


@pytest.mark.parametrize(("name", "end", "within"), [(*key, within) for key, within in FOUND.items()])
def test_a_difference_is_found(name: str, end: str, within: int) -> None:
    share, median = ended(name, 40)[end]
    assert share > 0.9
    assert median is not None
    assert median <= within


def test_an_e_value_is_one_on_average_when_there_is_no_difference() -> None:
    both = 0.5 * math.exp(evalues.better(Pairs(1, 0))) + 0.5 * math.exp(evalues.better(Pairs(0, 1)))
    assert both == pytest.approx(1)
    share, rate = 0.3, 0.1
    cells = {
        (1, 0, 0, 0): share * rate,
        (0, 1, 0, 0): share * (1 - rate),
        (0, 0, 1, 0): (1 - share) * rate,
        (0, 0, 0, 1): (1 - share) * (1 - rate),
    }
    for test in (evalues.more, evalues.less, evalues.uneven):
        values = {cell: math.exp(test([Split(share, *cell)])) for cell in cells}
        assert sum(chance * values[cell] for cell, chance in cells.items()) == pytest.approx(1)


@pytest.mark.parametrize("margin", [0, 0.01, 0.05])
def test_at_the_margin_the_mean_is_one(margin: float) -> None:
    chances = {(1, 0, 0): 0.1, (0, 1, 0): 0.1 + margin, (0, 0, 1): 0.8 - margin}
    mean = sum(chance * math.exp(evalues.better(Pairs(*each), margin)) for each, chance in chances.items())
    assert mean == pytest.approx(1)


def test_evidence_does_not_depend_on_its_order_or_its_parts() -> None:
    whole = Pairs(30, 10, 100)
    assert Pairs(10, 5, 50) + Pairs(20, 5, 50) == whole
    splits = [Split(0.1, 3, 97, 5, 895), Split(0.5, 10, 90, 9, 91)]
    for test in (evalues.more, evalues.less, evalues.uneven):
        assert test(splits) == pytest.approx(test(splits[::-1]))


CLEAN = Split(0.01, 0, 500, 50, 49_450)  # of errors
LAST = Split(0.5, 1, 4_999, 5, 4_995)


@pytest.mark.parametrize(
    ("evidence", "share", "action"),
    [
        (Evidence(), None, "wait"),
        (Evidence(), 0.0, "wait"),
        (Evidence(), 0.01, "wait"),
        (Evidence(pairs=Pairs(50, 10, 400)), None, "promote"),  # without traffic, a comparison
        (Evidence(pairs=Pairs(10, 50, 400)), None, "roll_back"),
        (Evidence(pairs=Pairs(30, 30, 9_940)), None, "undecided"),
        (Evidence(pairs=Pairs(50, 10, 400), failing=Pairs(0, 0, 460)), 0.0, "raise_share"),  # from shadow
        (Evidence(pairs=Pairs(50, 10, 400), failing=Pairs(0, 0, 50)), 0.0, "wait"),
        (Evidence(pairs=Pairs(30, 30, 400), failing=Pairs(0, 0, 460)), 0.0, "wait"),
        (Evidence(failing=Pairs(0, 12, 460)), 0.0, "roll_back"),
        (Evidence(slowing=Pairs(1, 30, 460)), 0.0, "roll_back"),
        (Evidence(errors=(CLEAN,)), 0.01, "raise_share"),
        (Evidence(errors=(Split(0.01, 0, 99, 5, 9_895),)), 0.01, "wait"),
        (Evidence(errors=(CLEAN,), unserved=100), 0.01, "wait"),
        (Evidence(errors=(LAST,)), 0.5, "wait"),
        (Evidence(errors=(Split(0.01, 40, 460, 50, 49_450),)), 0.01, "roll_back"),
        (Evidence(errors=(Split(0.1, 100, 0, 900, 0),)), 0.1, "wait"),  # an outage: beyond the budget, but of both
        (Evidence(refusals=(Split(0.1, 40, 60, 10, 890),)), 0.1, "roll_back"),
        (Evidence(corrections=(Split(0.1, 40, 60, 45, 855),)), 0.1, "roll_back"),
        (Evidence(slow=(Split(0.1, 40, 60, 45, 855),)), 0.1, "roll_back"),
        (Evidence(mistakes=(Split(0.5, 50, 950, 200, 800),), errors=(LAST,)), 0.5, "promote"),
        (Evidence(mistakes=(Split(0.5, 50, 950, 200, 800),)), 0.5, "wait"),  # too few served to know its errors
        (Evidence(mistakes=(Split(0.01, 50, 950, 20_000, 79_000),), errors=(CLEAN,)), 0.01, "raise_share"),
        (Evidence(mistakes=(Split(0.5, 200, 800, 50, 950),)), 0.5, "roll_back"),
        (Evidence(pairs=Pairs(50, 10, 400), errors=(Split(0.1, 60, 40, 0, 900),)), 0.1, "roll_back"),
    ],
)
def test_actions(evidence: Evidence, share: float | None, action: str) -> None:
    decision = decide(evidence, Rules(), None if share is None else Situation(share))
    assert decision.action == action, decision
    assert decision.reason.endswith(".")
    assert decision.share == ({0.0: 0.01, 0.01: 0.05}[share or 0.0] if action == "raise_share" else None)


UNDER_WAY = (Split(0.5, 0, 0, 2, 498),)  # the candidate has answered nothing yet


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(errors=UNDER_WAY),
        Evidence(refusals=UNDER_WAY),
        Evidence(slow=UNDER_WAY),
        Evidence(corrections=UNDER_WAY),
        Evidence(mistakes=UNDER_WAY),
    ],
)
def test_inputs_under_way_are_no_evidence_against_the_candidate(evidence: Evidence) -> None:
    assert decide(evidence, Rules(), Situation(0.5)).action == "wait"


def test_a_candidate_whose_answers_or_labels_are_missing_is_not_promoted() -> None:
    served = Split(0.5, 1, 4_999, 5, 4_995)
    labelled = Split(0.5, 50, 950, 200, 800)
    assert decide(Evidence(mistakes=(labelled,), errors=(served,)), Rules(), Situation(0.5)).action == "promote"
    fewer = Split(0.5, 1, 299, 5, 4_995)
    missing = decide(Evidence(mistakes=(labelled,), errors=(fewer,)), Rules(), Situation(0.5))
    assert (missing.action, "inputs" in missing.reason) == ("wait", True)
    chosen = decide(Evidence(mistakes=(Split(0.5, 5, 95, 200, 800),), errors=(served,)), Rules(), Situation(0.5))
    assert (chosen.action, "labels" in chosen.reason) == ("wait", True)


def test_nothing_lasts_beyond_the_horizon() -> None:
    assert decide(Evidence(errors=(CLEAN,)), Rules(days=14), Situation(0.01, 14.1)).action == "undecided"
    bad = Evidence(errors=(Split(0.01, 40, 460, 50, 49_450),))
    assert decide(bad, Rules(days=14), Situation(0.01, 14.1)).action == "roll_back"


def test_without_steps_a_better_candidate_is_promoted_from_shadow() -> None:
    shadowed = Evidence(pairs=Pairs(50, 10, 400), failing=Pairs(0, 0, 460))
    assert decide(shadowed, Rules(shares=()), Situation(0.0)).action == "promote"


def test_a_budget_counts_what_happened_to_the_candidate_alone() -> None:
    assert evalues.over(0.01, 5, 15) > -math.log(0.01)
    assert evalues.over(0.01, 1, 199) < 0.5


def test_the_interval_holds_the_difference() -> None:
    assert difference(Pairs(5, 5, 20), (), 0.05) is None
    bounds = difference(Pairs(300, 200, 4_500), (), 0.05)
    assert bounds is not None
    assert bounds[0] < 0.02 < bounds[1]
    assert bounds[1] - bounds[0] < 0.05
    assert difference(Pairs(), [Split(0.1, 8, 32, 72, 288)], 0.05) is None
    split = difference(Pairs(), [Split(0.1, 80, 420, 900, 3_600), Split(0.5, 150, 850, 200, 800)], 0.05)
    assert split is not None
    assert split[0] < 0.045 < split[1]


def test_a_share_of_everything_is_no_split() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Split(1.0)
