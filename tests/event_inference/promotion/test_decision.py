"""Decisions on candidates of known quality: the stated bounds hold however often one looks."""

import math

import pytest

from benchmarks.promotion.simulate import Row, rows, simulate
from event_inference.promotion import evalues
from event_inference.promotion.decision import Rules, decide
from event_inference.promotion.evidence import Evidence, Pairs, Split
from event_inference.promotion.interval import difference

ROWS = {row.name: row for row in rows()}
BOUNDS = {  # of the part of the trials in which a sound candidate, or one no better, meets this end
    "paired, equal (.80), d = .10": 0.05,
    "errors .1 % in both, 10 % split": 0.01,
    "errors, outages of both": 0.01,
    "slow 5 % in both": 0.01,
    "ramp, equal (.80)": 0.05,
}
FOUND = {  # within so many labels, or inputs of the candidate, in half of the trials
    "paired, .80 to .85, d = .10": 350,
    "paired, .80 to .50, d = .40": 40,
    "errors .1 % to 5%": 90,
    "errors .1 % to 50%": 8,
    "errors .1 % to 100%": 4,
    "slow 5 % to 40%": 20,
    "ramp, errors in 30 %": 12,
}


def ended(row: Row, trials: int) -> tuple[float, float | None]:
    return simulate(row, trials, seed=7)


@pytest.mark.long
@pytest.mark.parametrize(("name", "bound"), BOUNDS.items())
def test_false_decisions_are_as_rare_as_stated(name: str, bound: float) -> None:
    trials = 600
    share, _ = ended(ROWS[name], trials)
    assert share <= bound + 3 * math.sqrt(bound * (1 - bound) / trials)


@pytest.mark.parametrize(("name", "within"), FOUND.items())
def test_a_difference_is_found(name: str, within: int) -> None:
    share, median = ended(ROWS[name], 40)
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
    for alternatives in (evalues.FAILING, evalues.MISTAKEN, evalues.SLOWER):
        values = {cell: math.exp(evalues.more([Split(share, *cell)], alternatives)) for cell in cells}
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
    assert evalues.more(splits, evalues.FAILING) == pytest.approx(evalues.more(splits[::-1], evalues.FAILING))


@pytest.mark.parametrize(
    ("evidence", "share", "action"),
    [
        (Evidence(), None, "wait"),
        (Evidence(), 0.01, "wait"),
        (Evidence(pairs=Pairs(50, 10, 400)), None, "promote"),
        (Evidence(pairs=Pairs(10, 50, 400)), None, "roll_back"),
        (Evidence(pairs=Pairs(30, 30, 9_940)), None, "undecided"),
        (Evidence(errors=(Split(0.01, 1, 499, 50, 49_450),)), 0.01, "raise_share"),
        (Evidence(errors=(Split(0.01, 0, 499, 50, 49_450),)), 0.01, "wait"),
        (Evidence(errors=(Split(0.5, 1, 4_999, 5, 4_995),)), 0.5, "wait"),
        (Evidence(errors=(Split(0.01, 40, 460, 50, 49_450),)), 0.01, "roll_back"),
        (Evidence(errors=(Split(0.1, 100, 0, 900, 0),)), 0.1, "wait"),
        (Evidence(slow=(Split(0.1, 40, 60, 45, 855),)), 0.1, "roll_back"),
        (Evidence(mistakes=(Split(0.5, 50, 950, 200, 800),)), 0.5, "promote"),
        (Evidence(mistakes=(Split(0.5, 200, 800, 50, 950),)), 0.5, "roll_back"),
        (Evidence(pairs=Pairs(50, 10, 400), errors=(Split(0.1, 60, 40, 0, 900),)), 0.1, "roll_back"),
    ],
)
def test_actions(evidence: Evidence, share: float | None, action: str) -> None:
    decision = decide(evidence, Rules(), share)
    assert decision.action == action, decision
    assert decision.reason.endswith(".")


def test_a_budget_counts_what_happened_to_the_candidate_alone() -> None:
    assert evalues.over(0.01, 5, 15) > -math.log(0.01)
    assert evalues.over(0.01, 1, 199) < 0.5


def test_the_interval_holds_the_difference() -> None:
    assert difference(Pairs(5, 5, 20), 0.05) is None
    bounds = difference(Pairs(300, 200, 4_500), 0.05)
    assert bounds is not None
    assert bounds[0] < 0.02 < bounds[1]
    assert bounds[1] - bounds[0] < 0.05


def test_a_share_of_everything_is_no_split() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Split(1.0)
