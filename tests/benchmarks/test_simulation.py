"""Small versions of the simulated floods, and the simulation's own clock."""

from itertools import pairwise

import pytest

from benchmarks.scale.simulation import deployment, report, scenarios
from benchmarks.scale.simulation.clock import Pool, Process, World
from messaging import runs


@pytest.mark.long
def test_a_flood_drains_without_a_dead_letter():
    tally = scenarios.flood(scenarios.raised(), 1000, seconds=120)
    assert (tally.uploaded, tally.documents, tally.failed, tally.dead_letters) == (120_000, 120_000, 0, 0)
    assert tally.drained < 120 + 360


@pytest.mark.release
def test_the_collections_of_a_flood_double_until_they_keep_up():
    tally = scenarios.flood(scenarios.raised(), 1000, seconds=420)
    by_minute = [tally.started[minute] for minute in range(7)]
    assert by_minute[-1] >= 60_000
    growth = [later / earlier for earlier, later in pairwise(by_minute[2:]) if earlier]
    assert max(growth) < 8  # two or three doublings a minute, as a full run takes 25 s


def test_what_is_below_the_cap_of_own_executions_waits_for_no_collection():
    tally = scenarios.flood(deployment.of(), 1, seconds=60)
    assert (tally.documents, tally.executions.total()) == (60, 60)
    assert max(tally.waits) <= 1


def test_the_cap_is_kept_and_no_collection_exceeds_the_bound():
    tally = scenarios.flood(deployment.of({"max_executions_per_hour": 150}), 50, seconds=600)
    assert tally.documents == 30_000
    assert max(tally.executions.values()) <= 150
    assert tally.executions.total() >= 30 + 30_000 // runs.MAX_MEMBERS - 1


@pytest.mark.release
def test_a_collection_without_an_execution_left_waits_for_the_next_hour():
    tally = scenarios.flood(deployment.of({"max_executions_per_hour": 10}), 50, seconds=600)
    assert tally.documents == 30_000
    assert tally.executions[0] == 10
    assert tally.drained > scenarios.HOUR


@pytest.mark.release
def test_what_waits_through_an_outage_drains_without_a_failure_and_begins_slowly():
    tally = scenarios.outage(scenarios.raised(), 100, seconds=1800, before=120)
    assert (tally.uploaded, tally.documents, tally.failed, tally.dead_letters) == (192_000, 192_000, 0, 0)
    assert tally.drained < 1920 + 900
    assert 0 < tally.put_back < 0.4 * tally.uploaded, "only what was started before the outage was noticed"
    assert all(tally.started[minute] <= 1 for minute in range(14, 32)), "then one input at a time tries"
    begun = next(minute for minute in range(32, 45) if tally.started[minute] > 1)
    assert tally.started[begun] <= 8000


@pytest.mark.release
def test_in_a_long_outage_another_input_tries_each_time_so_that_none_fails():
    tally = scenarios.outage(scenarios.raised(), 1, seconds=6 * scenarios.HOUR, before=0)
    assert (tally.documents, tally.failed) == (tally.uploaded, 0)
    assert tally.trials > 30


@pytest.mark.release
def test_a_flooding_tenant_delays_no_other_by_more_than_its_share():
    waits = {apart: scenarios.tenants(1000, 20, 120, told_apart=apart) for apart in (False, True)}
    assert all((tally.documents, tally.failed) == (tally.uploaded, 0) for tally in waits.values())
    assert max(waits[True].beside) < max(waits[False].beside) / 1.5
    assert abs(waits[True].drained - waits[False].drained) < 60, "and the flood itself ends as early"


def test_a_pool_handles_as_many_calls_at_a_time_as_it_has_places():
    world = World()
    pool = Pool(world, 2)
    assert [pool.book(10.0) for _ in range(5)] == [10.0, 10.0, 20.0, 20.0, 30.0]
    assert pool.waits() == 20.0


def test_processes_take_turns_on_the_virtual_clock():
    world, seen = World(), []

    def process(name: str, pause: float) -> Process:
        for _ in range(3):
            yield pause
            seen.append((world.now, name))

    world.start(process("a", 2.0))
    world.start(process("b", 3.0))
    world.run(7.0)
    assert seen == [(2.0, "a"), (3.0, "b"), (4.0, "a"), (6.0, "b"), (6.0, "a")]
    assert world.now == 7.0


@pytest.mark.release
@pytest.mark.timeout(600)
def test_the_recorded_results_are_those_of_the_code():
    assert report.tables() == report.recorded(), "run make simulate-scale"
