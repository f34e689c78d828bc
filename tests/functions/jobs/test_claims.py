"""The claim protocol against the object store: races, lost responses, leases, crashes."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import InProgressError
from pipeline.jobs.claims import CLAIMED, CONCLUDED, STARTED, Claim, Claims
from pipeline.jobs.job import Input, Job
from tests.functions.cloud import Cloud
from tests.functions.conftest import Logged

SOURCE = Input("in", "a.txt", 7, 5, "text/plain")
JOB = Job("0123456789abcdef0123456789abcdef", "a.txt/7", "1", "2026-01-01T12:00:00Z", SOURCE, "text")


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)  # Cloud Storage's clock dates claims as well

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def claims(cloud: Cloud, clock: Clock) -> Claims:
    return Claims(cloud.work, lease=60, clock=clock)


def acquired(claims: Claims, event_id: str = "1") -> Claim:
    claim = claims.acquire(replace(JOB, event_id=event_id))
    assert claim is not None
    return claim


def test_a_started_job_is_acknowledged(claims: Claims, cloud: Cloud) -> None:
    claims.confirm(acquired(claims), JOB, "executions/1")
    cloud.faulty.requests.clear()
    assert claims.acquire(replace(JOB, event_id="2")) is None
    assert len(cloud.faulty.requests) == 2  # the refused create, and the read
    held = claims.read(JOB.id)
    assert held is not None
    assert (held.state, held.execution, held.event_id) == (STARTED, "executions/1", "1")


def test_a_fresh_claim_is_not_taken_over(claims: Claims, clock: Clock) -> None:
    acquired(claims)
    clock.advance(60)
    with pytest.raises(InProgressError):
        claims.acquire(replace(JOB, event_id="2"))


def test_a_claim_past_its_lease_is_taken_over(claims: Claims, clock: Clock) -> None:
    first = acquired(claims)
    clock.advance(61)
    second = acquired(claims, "2")
    assert second.owner != first.owner
    assert second.generation > first.generation
    claims.confirm(first, JOB, "executions/late")  # the sleeper wakes: its claim is another's by now
    held = claims.read(JOB.id)
    assert held is not None
    assert (held.state, held.owner) == (CLAIMED, second.owner)
    claims.release(first)
    assert claims.read(JOB.id) is not None


@pytest.mark.parametrize("skew", [30, 3600, 10**7])
def test_a_claim_dated_in_the_future_is_taken_over_after_its_lease(cloud: Cloud, skew: float) -> None:
    now = datetime.now(UTC)
    assert Claims(cloud.work, 60, lambda: now + timedelta(seconds=skew)).acquire(JOB)
    with pytest.raises(InProgressError):
        Claims(cloud.work, 60, lambda: now + timedelta(seconds=55)).acquire(JOB)
    assert Claims(cloud.work, 60, lambda: now + timedelta(seconds=70)).acquire(JOB)


def test_a_handler_whose_clock_is_behind_is_not_blocked(cloud: Cloud) -> None:
    now = datetime.now(UTC)
    assert Claims(cloud.work, 60, lambda: now).acquire(JOB)
    assert Claims(cloud.work, 60, lambda: now - timedelta(hours=1)).acquire(JOB)


def test_a_released_claim_can_be_acquired_before_its_lease_expires(claims: Claims) -> None:
    claims.release(acquired(claims))
    assert acquired(claims, "2").event_id == "2"


def test_a_lost_response_is_not_a_lost_race(claims: Claims, cloud: Cloud) -> None:
    fault = cloud.fault("POST", "name=claims/", done_first=True)
    claim = acquired(claims)
    assert not fault.times
    held = claims.read(JOB.id)
    assert held == claim
    claims.confirm(claim, JOB, "executions/1")
    assert claims.acquire(replace(JOB, event_id="2")) is None


def test_a_lost_response_to_a_takeover_is_not_a_lost_race(claims: Claims, cloud: Cloud, clock: Clock) -> None:
    first = acquired(claims)
    clock.advance(61)
    fault = cloud.fault("POST", "name=claims/", f"ifGenerationMatch={first.generation}", done_first=True)
    assert acquired(claims, "2").event_id == "2"
    assert not fault.times


def test_a_storage_failure_undoes_neither_a_start_nor_a_release(claims: Claims, cloud: Cloud) -> None:
    claim = acquired(claims)
    cloud.fault("POST", "name=claims/", status=403)
    claims.confirm(claim, JOB, "executions/1")
    cloud.fault("DELETE", "claims/", status=403)
    claims.release(claim)
    assert claims.read(JOB.id) == claim


def test_a_claim_that_was_lost_is_reported_and_one_that_was_kept_is_not(
    claims: Claims, clock: Clock, cloud: Cloud, logged: Logged
) -> None:
    first = acquired(claims)
    clock.advance(61)
    second = acquired(claims, "2")
    claims.confirm(second, JOB, "executions/2")
    assert not [line for line in logged() if line["severity"] == "WARNING"]
    claims.confirm(first, JOB, "executions/late")
    assert [line["severity"] for line in logged()] == ["WARNING"]
    (blob,) = cloud.client.list_blobs(cloud.work, prefix="claims/")
    assert blob.metadata["pipeline-job"] == JOB.id


def of_run(claims: Claims, run: str) -> Claim:
    """A claim that waited and that a run has taken over."""
    claims.postpone(acquired(claims), JOB)
    waiting = claims.read(JOB.id)
    assert waiting
    return claims.take_over(waiting, JOB, run)


def test_a_claim_is_started_once_its_run_has_an_execution(claims: Claims, clock: Clock) -> None:
    taken = of_run(claims, "one")
    assert claims.read(JOB.id) == taken
    claims.confirm_run("one", ["another job", JOB.id], "executions/1")
    held = claims.read(JOB.id)
    assert held == replace(taken, state=STARTED, execution="executions/1")
    clock.advance(61)
    assert claims.acquire(replace(JOB, event_id="2")) is None
    claims.conclude(held)
    concluded = claims.read(JOB.id)
    assert concluded
    assert (concluded.state, concluded.execution) == (CONCLUDED, "executions/1")


def test_a_claim_whose_run_has_started_without_it_is_taken_over_after_its_lease(claims: Claims, clock: Clock) -> None:
    taken = of_run(claims, "one")
    claims.confirm_run("one", ["another job"], "executions/1")
    claims.confirm_run("another", [JOB.id], "executions/2")
    assert claims.read(JOB.id) == taken
    with pytest.raises(InProgressError):
        claims.acquire(JOB)
    clock.advance(61)
    assert acquired(claims, "2").took_over


def test_a_run_is_confirmed_although_the_response_is_lost(claims: Claims, cloud: Cloud, logged: Logged) -> None:
    of_run(claims, "one")
    cloud.fault("POST", "name=runs/", done_first=True)
    claims.confirm_run("one", [JOB.id], "executions/1")
    held = claims.read(JOB.id)
    assert held
    assert held.execution == "executions/1"
    assert not [line for line in logged() if line["severity"] == "WARNING"]


def test_a_storage_failure_does_not_undo_the_start_of_a_run(claims: Claims, cloud: Cloud, logged: Logged) -> None:
    taken = of_run(claims, "one")
    cloud.fault("POST", "name=runs/", status=403)
    claims.confirm_run("one", [JOB.id], "executions/1")
    assert claims.read(JOB.id) == taken
    assert [line["severity"] for line in logged()][-1] == "WARNING"


def race(contenders: int, act: Callable[[int], object]) -> list[object]:
    """The outcomes of several threads that start together: results or exceptions."""
    gate = threading.Barrier(contenders)
    outcomes: list[object] = [None] * contenders

    def run(index: int) -> None:
        gate.wait()
        try:
            outcomes[index] = act(index)
        except InProgressError as error:
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(contenders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("attempt", range(3))
def test_one_of_many_racing_claims_wins(claims: Claims, attempt: int) -> None:
    outcomes = race(12, lambda index: claims.acquire(replace(JOB, event_id=str(index))))
    winners = [outcome for outcome in outcomes if isinstance(outcome, Claim)]
    assert len(winners) == 1
    assert all(isinstance(outcome, InProgressError | Claim) for outcome in outcomes)
    assert claims.read(JOB.id) == winners[0]


@pytest.mark.parametrize("attempt", range(3))
def test_one_of_many_racing_takeovers_wins(cloud: Cloud, attempt: int) -> None:
    acquired(Claims(cloud.work, 60, lambda: datetime.now(UTC) - timedelta(seconds=61)))
    claims = Claims(cloud.work, 60)  # on Cloud Storage's own time: a claim just taken over is fresh by both clocks
    outcomes = race(12, lambda index: claims.acquire(replace(JOB, event_id=str(index))))
    winners = [outcome for outcome in outcomes if isinstance(outcome, Claim)]
    assert len(winners) == 1
    assert claims.read(JOB.id) == winners[0]
