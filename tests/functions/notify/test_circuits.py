"""When an endpoint is left alone, and for how long."""

import pytest

from notifying.circuits import LONGEST, PROBE, SHORTEST, TOLERATED, Circuits


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuits(clock: Clock) -> Circuits:
    return Circuits(clock)


def fail(circuits: Circuits, times: int = 1, retry_after: float | None = None) -> None:
    for _ in range(times):
        circuits.failed("crm", retry_after)


def test_a_few_failures_are_tolerated(circuits: Circuits) -> None:
    fail(circuits, TOLERATED - 1)
    assert circuits.allows("crm")


def test_then_the_endpoint_is_left_alone_and_no_other(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, TOLERATED)
    assert not circuits.allows("crm")
    assert circuits.allows("erp")
    clock.now += SHORTEST - 1
    assert not circuits.allows("crm")


def test_after_the_pause_one_attempt_stands_for_all(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, TOLERATED)
    clock.now += SHORTEST
    assert [circuits.allows("crm") for _ in range(3)] == [True, False, False]
    clock.now += PROBE  # an attempt that never ended is replaced
    assert circuits.allows("crm")


def test_a_success_ends_the_pause(circuits: Circuits, clock: Clock) -> None:
    fail(circuits, TOLERATED + 3)
    circuits.succeeded("crm")
    assert all(circuits.allows("crm") for _ in range(3))
    fail(circuits, TOLERATED - 1)
    assert circuits.allows("crm")


def test_pauses_grow_up_to_pub_sub_s_own(circuits: Circuits, clock: Clock) -> None:
    pauses = []
    for _ in range(12):
        fail(circuits, TOLERATED if not pauses else 1)
        started = clock.now
        while not circuits.allows("crm"):
            clock.now += 1
        pauses.append(clock.now - started)
    assert pauses[:4] == [10, 20, 40, 80]
    assert pauses[-1] == LONGEST


@pytest.mark.parametrize("retry_after", [5.0, 120.0, 3600.0])
def test_what_the_receiver_asks_for_is_obeyed_from_the_first_failure_on(
    circuits: Circuits, clock: Clock, retry_after: float
) -> None:
    fail(circuits, 1, retry_after)
    clock.now += retry_after - 1
    assert not circuits.allows("crm")
    clock.now += 1
    assert circuits.allows("crm")
