"""Lanes: concurrent collections divide the waiting inputs, up to a bound, and none is left behind."""

from datetime import UTC, datetime, timedelta

import pytest

from messaging import lanes
from messaging.lanes import ALL, Lanes
from pipeline.jobs import job
from tests.functions.cloud import Cloud

LEASE = timedelta(minutes=2)


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(cloud: Cloud, clock: Clock, owner: str | None = None, most: int = 4) -> Lanes:
    held = Lanes(cloud.work, most, LEASE, clock, owner)
    held.take()
    return held


def test_the_first_collection_takes_all_and_another_finds_none(cloud: Cloud, clock: Clock) -> None:
    assert taken(cloud, clock).held == ALL
    assert not taken(cloud, clock).held


def test_shares_double_the_collections_up_to_the_bound(cloud: Cloud, clock: Clock) -> None:
    collections = [taken(cloud, clock)]
    for count in (2, 4, 4):
        heirs = [owner for each in collections if (owner := each.share())]
        collections += [taken(cloud, clock, owner) for owner in heirs]
        assert len(collections) == count
        assert frozenset.union(*(each.held for each in collections)) == ALL
        assert sum(len(each.held) for each in collections) == lanes.COUNT
    assert not taken(cloud, clock, "late").held


def test_a_single_lane_is_not_divided(cloud: Cloud, clock: Clock) -> None:
    collection = taken(cloud, clock, most=100)
    while collection.share():
        pass
    assert len(collection.held) == 1
    assert collection.share() is None


def test_released_lanes_are_free_for_the_next_order(cloud: Cloud, clock: Clock) -> None:
    first = taken(cloud, clock)
    second = taken(cloud, clock, first.share())
    released = first.held
    first.release()
    assert not first.held
    assert taken(cloud, clock).held == released
    assert second.held == ALL - released


def test_the_lanes_of_a_collection_that_died_are_free_after_the_lease(cloud: Cloud, clock: Clock) -> None:
    dead = taken(cloud, clock)
    clock.now += LEASE - timedelta(seconds=1)
    assert not taken(cloud, clock).held
    clock.now += timedelta(seconds=1)
    assert taken(cloud, clock).held == dead.held


def test_an_order_that_continues_a_collection_renews_its_leases(cloud: Cloud, clock: Clock) -> None:
    first = taken(cloud, clock)
    for _ in range(3):
        clock.now += LEASE / 2
        assert taken(cloud, clock, first.owner).held == ALL
        assert not taken(cloud, clock).held


def test_a_collection_that_is_at_work_keeps_its_lanes(cloud: Cloud, clock: Clock) -> None:
    first = taken(cloud, clock)
    second = taken(cloud, clock, first.share())
    for _ in range(6):
        clock.now += LEASE / 2
        first.renew()
        second.renew()
        assert (first.held | second.held, len(first.held)) == (ALL, lanes.COUNT / 2)
        assert not taken(cloud, clock).held


def test_a_collection_that_has_lost_its_lanes_takes_those_that_are_free(cloud: Cloud, clock: Clock) -> None:
    first = taken(cloud, clock)
    clock.now += LEASE
    second = taken(cloud, clock)
    third = taken(cloud, clock, second.share())
    third.release()
    first.renew()
    assert second.held | first.held == ALL
    assert not second.held & first.held


def test_a_race_leaves_each_lane_with_one_collection(cloud: Cloud, clock: Clock) -> None:
    first, second = Lanes(cloud.work, 4, LEASE, clock), Lanes(cloud.work, 4, LEASE, clock)
    cloud.fault("POST", "name=collections/lanes.json", status=412)
    first.take()
    second.take()
    assert (first.held, second.held) == (ALL, frozenset())


def test_the_jobs_of_a_flood_spread_over_all_lanes() -> None:
    ids = [job.of_object("b", f"{number}.txt", number) for number in range(1000)]
    assert {lanes.of(id) for id in ids} == ALL
