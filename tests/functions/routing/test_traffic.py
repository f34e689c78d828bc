"""traffic.json: what it may hold, and which version each job gets."""

import json

import pytest

from pipeline.routing import traffic
from pipeline.routing.traffic import Traffic

JOBS = [f"{number:032x}" for number in range(4000)]
SPLIT = Traffic("1", "2", 0.25, "split", "e1")


def test_a_split_gives_the_candidate_its_share_and_each_job_always_the_same_version() -> None:
    versions = [SPLIT.assign(job, shadowed=True)[0] for job in JOBS]
    assert versions == [SPLIT.assign(job, shadowed=True)[0] for job in JOBS]
    assert versions.count("2") == pytest.approx(1000, abs=120)


def test_a_larger_share_keeps_what_the_candidate_had() -> None:
    before = {job for job in JOBS if SPLIT.assign(job, shadowed=True)[0] == "2"}
    larger = Traffic("1", "2", 0.5, "split", "e1")
    assert before < {job for job in JOBS if larger.assign(job, shadowed=True)[0] == "2"}


def test_another_experiment_assigns_independently() -> None:
    other = Traffic("1", "2", 0.25, "split", "e2")
    both = [job for job in JOBS if SPLIT.assign(job, shadowed=True)[0] == other.assign(job, shadowed=True)[0] == "2"]
    assert len(both) == pytest.approx(250, abs=75)


def test_the_arm_follows_the_documented_hash() -> None:
    assert traffic.position("e1", "0" * 32) == pytest.approx(0.0239990, abs=1e-7)
    assert 0 <= min(traffic.position("e", job) for job in JOBS) < max(traffic.position("e", job) for job in JOBS) < 1


@pytest.mark.parametrize(("share", "versions"), [(0, {"1"}), (1, {"2"})])
def test_the_ends_of_a_share(share: float, versions: set[str]) -> None:
    assert {Traffic("1", "2", share, "split", "e").assign(job, shadowed=True)[0] for job in JOBS[:200]} == versions


def test_an_experiment_names_both_versions_where_they_are_needed() -> None:
    everyone = Traffic("1", "2", 1.0, "split", "e1")
    assert everyone.assign("j", shadowed=False) == (
        "2", {"id": "e1", "arm": "candidate", "share": 1.0, "mode": "split", "stable": "1"},
    )  # fmt: skip
    shadow = Traffic("1", "2", 1.0, "shadow", "e1")
    sampled = {"id": "e1", "arm": "stable", "share": 1.0, "mode": "shadow"}
    assert shadow.assign("j", shadowed=True) == ("1", {**sampled, "candidate": "2"})
    assert shadow.assign("j", shadowed=False) == ("1", sampled)


@pytest.mark.parametrize(
    "traffic", [Traffic("1"), Traffic("1", "2", 1.0, "frozen", "e"), Traffic("1", None, 1.0, "split")]
)
def test_without_a_candidate_and_frozen_the_stable_version_answers_everything(traffic: Traffic) -> None:
    assert traffic.assign("j", shadowed=True) == ("1", None)


GOOD = {"stable": "1", "candidate": "2", "share": 0.1, "mode": "split", "experiment": "e1"}


def test_notes_for_people_are_kept_out() -> None:
    content = {"m": {**GOOD, "since": "2026-11-28T00:00:00Z", "by": "someone", "reason": "a try"}}
    assert traffic.parse(json.dumps(content).encode()) == {"m": Traffic("1", "2", 0.1, "split", "e1")}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"stable": None}, "m: stable must be a version"),
        ({"stable": 1}, "m: stable must be a version"),
        ({"candidate": 2}, "m: candidate must be a version or null."),
        ({"candidate": "1"}, "m: candidate and stable are the same version, '1'."),
        ({"share": 1.1}, "m: share must be a number from 0 to 1."),
        ({"share": "0.1"}, "m: share must be a number from 0 to 1."),
        ({"share": True}, "m: share must be a number from 0 to 1."),
        ({"share": float("nan")}, "m: share must be a number from 0 to 1."),
        ({"mode": "canary"}, "m: mode must be one of shadow, split, frozen."),
        ({"experiment": ""}, "m: experiment must be an id"),
        ({"experiment": None}, "m: experiment must be an id"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(change: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        traffic.parse(json.dumps({"m": {**GOOD, **change}}).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b'{"m": []}', b"\xff", b'{"m": {'])
def test_what_is_no_traffic_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        traffic.parse(content)
