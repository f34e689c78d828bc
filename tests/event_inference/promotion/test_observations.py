"""Observations of single inputs and their counts, and decisions that anyone can compute again from those."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count as numbers
from typing import Any

import pytest

from event_inference.promotion import observations, records
from event_inference.promotion.counts import Phase, evidence, merged
from event_inference.promotion.decision import Rules, Situation
from event_inference.promotion.evidence import Pairs, Split
from event_inference.promotion.observations import Limit, Observation
from event_inference.promotion.records import Trial

START = datetime(2026, 1, 1, tzinfo=UTC)


def served(arm: str = "stable", share: float = 0.1, mode: str = "split", **fields: Any) -> dict[str, Any]:
    content = {"arm": arm, "share": share, "mode": mode, "sampled": mode == "shadow", "outcome": "succeeded"}
    return {**content, "ms": 10.0, "gpu_us": 1000, "confidence": 0.93, "label": "x", **fields}


def observed(*inputs: dict[str, dict[str, Any]], since: datetime = START) -> list[Observation]:
    """The observations of one input each, by what they are, in the order of a listing."""
    listed = []
    for number, parts in zip(numbers(), inputs, strict=False):
        for what in sorted(parts):
            name = f"{observations.prefix('e')}{number:032}.{what}"
            found = Observation.parse(name, {"observation": json.dumps(parts[what])}, since + timedelta(seconds=number))
            assert found is not None
            listed.append(found)
    return listed


def test_a_split_counts_each_version_s_inputs() -> None:
    label = {"label": "x", "corrected": False}
    (phase,) = observations.count(
        observed(
            {"served": served()},
            {"served": served(outcome="failed", ms=None, label=None, confidence=None), "label": label},
            {"served": served("candidate"), "label": label},
            {"served": served("candidate", label="y", confidence=0.2), "label": label},
            {"served": served("candidate", outcome="rejected", label=None, confidence=None)},
            {"served": served("candidate", unserved=True), "label": {"label": None, "corrected": True}},
            {"label": label},  # ahead of its document
        )
    )
    assert (phase.mode, phase.share) == ("split", 0.1)
    stable, candidate = phase.stable, phase.candidate
    assert (stable.requests, stable.failed, stable.labelled, stable.wrong) == (2, 1, 1, 1)
    assert (candidate.requests, candidate.rejected, candidate.unserved, candidate.corrected) == (4, 1, 1, 1)
    assert (candidate.labelled, candidate.wrong, candidate.gpu_microseconds) == (2, 1, 4000)
    assert candidate.confidence == [0, 0, 1, 0, 0, 0, 0, 0, 0, 2]
    found = evidence([phase])
    assert found.errors == (Split(0.1, 0, 4, 1, 1),)
    assert found.refusals == (Split(0.1, 1, 3, 0, 2),)
    assert found.mistakes == (Split(0.1, 1, 1, 1, 0),)
    assert found.corrections == (Split(0.1, 1, 3, 0, 2),)
    assert found.unserved == 1


def test_shadow_pairs_the_answers_to_an_input() -> None:
    truth = {"label": "x", "corrected": False}
    shadow = served(mode="shadow", share=1.0)
    (phase,) = observations.count(
        observed(
            {"served": shadow, "shadow": {"outcome": "succeeded", "label": "x", "ms": 1.0}, "label": truth},
            {"served": shadow, "shadow": {"outcome": "succeeded", "label": "y", "ms": 1.0}, "label": truth},
            {"served": {**shadow, "label": "y"}, "shadow": {"outcome": "succeeded", "label": "x"}, "label": truth},
            {"served": shadow, "shadow": {"outcome": "failed"}},
            {"served": {**shadow, "outcome": "failed"}},
            {"served": shadow},  # the answer is still to come
            {"served": {**shadow, "sampled": False}},
        )
    )
    both = phase.both
    assert (both.compared, both.agreed, both.missing) == (3, 1, 1)
    assert Pairs(**both.accuracy) == Pairs(win=1, loss=1, same=1)
    assert Pairs(**both.failing) == Pairs(win=1, loss=1, same=3)
    assert (phase.stable.requests, phase.candidate.requests, phase.candidate.failed) == (7, 4, 1)
    assert evidence([phase]).errors == ()


def test_the_limit_is_fixed_before_what_it_is_compared_with() -> None:
    before = observed(*({"served": served(ms=float(ms))} for ms in range(200)))
    times = [each.stable_ms for each in before if each.stable_ms is not None]
    until = before[-1].written_at
    assert observations.limit(times[:199], until, 200) is None
    limit = observations.limit(times, until, 200)
    assert limit == Limit(189.0, until)
    assert Limit.parse(limit.json()) == limit
    after = observed(
        {"served": served("candidate", ms=189.5)},
        {"served": served("candidate", ms=189.0)},
        {"served": served("candidate", outcome="failed", ms=None)},
        {"served": {key: value for key, value in served().items() if key != "ms"}},  # a batch
        since=until + timedelta(seconds=1),
    )
    (phase,) = observations.count([*before, *after], limit)
    assert (phase.stable.timed, phase.candidate.timed, phase.candidate.slow) == (0, 3, 1)
    (without,) = observations.count([*before, *after])
    assert (without.candidate.timed, without.candidate.slow) == (0, 0)


def test_counts_can_be_added_in_any_order_and_survive_json() -> None:
    inputs = [{"served": served("candidate" if number % 3 else "stable", share=0.1 + 0.4 * (number % 2))}
              for number in range(20)]  # fmt: skip
    whole = observations.count(observed(*inputs))
    parts = [*observations.count(observed(*inputs[:7])), *observations.count(observed(*inputs[7:]))]
    assert merged(parts) == merged(parts[::-1]) == whole
    assert [Phase.parse(json.loads(json.dumps(phase.json()))) for phase in whole] == whole


def test_other_objects_are_no_observations() -> None:
    assert Observation.parse("observations/m/e/README", None, START) is None
    assert Observation.parse("observations/m/e/1.served", {}, START) is None


def trial(rules: Rules | None = None) -> Trial:
    phase = Phase("split", 0.01)
    phase.stable.requests, phase.candidate.requests, phase.candidate.failed = 9_900, 100, 40
    return Trial("m", "e", "1", "2", rules or Rules(), Situation(0.01, 2.5), (phase,), START, Limit(20.0, START))


def test_a_decision_document_holds_all_that_the_decision_follows_from() -> None:
    document = json.loads(json.dumps(records.document(trial(), trial().decide(), "decisions/m/1.json", START)))
    assert (document["action"], document["reason"]) == ("roll_back", "The candidate fails more often.")
    assert document["verify"] == "einf promote verify decisions/m/1.json"
    assert Trial.parse(document) == trial()
    assert records.differences(document) == []


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("action",), "promote", "action"),
        (("e_values", "errors"), 5.0, "e_values.errors"),
        (("counts", 0, "candidate", "failed"), 0, "action"),
        (("rules", "guard_alpha"), 0.5, "thresholds.errors"),
        (("situation", "days"), 31, None),  # which changes nothing here
    ],
)
def test_a_changed_document_is_found_out(path: tuple[Any, ...], value: Any, found: str | None) -> None:
    document = json.loads(json.dumps(records.document(trial(), trial().decide(), "d", START)))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    lines = records.differences(document)
    assert any(line.startswith(f"{found}:") for line in lines) if found else lines == []


def test_a_person_s_order_needs_no_evidence() -> None:
    document = {**records.document(trial(), trial().decide(), "d", START), "by": "person", "action": "freeze"}
    assert records.differences(document) == []


def test_counts_are_compared_with_those_of_the_observations() -> None:
    document = json.loads(json.dumps(records.document(trial(), trial().decide(), "d", START)))
    assert records.miscounted(document, trial().phases) == []
    (line,) = records.miscounted(document, [Phase.parse({**trial().phases[0].json(), "share": 0.02})])
    assert line == "counts[0].share: the document says 0.01, computed is 0.02"


@pytest.mark.parametrize("wrong", [{"alpha": 0}, {"shares": [0.5, 0.1]}, {"shares": [1]}, {"days": -1}, {"margn": 0.1}])
def test_rules_that_cannot_be_used_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        records.rules(wrong)
