"""The choice of the number of threads, on simulated machines that are calm, busy, or change."""

import itertools
import random
from collections.abc import Callable

import pytest

from gpu_service.batching.cost_model import fit
from gpu_service.batching.threads import FIRST, LATEST, TRIAL, Threads, Way, others

Machine = Callable[[int, random.Random], float]  # slowness of a batch with so many threads


def calm(threads: int, rng: random.Random) -> float:
    return (2 / threads) ** 0.7 * rng.uniform(0.95, 1.15)


def busy(threads: int, rng: random.Random) -> float:
    """Each thread may be suspended, and the others wait for it."""
    return (2 / threads) ** 0.7 * max(rng.choice([3, 4, 6, 11]) if threads > 1 else 2.0 for _ in range(threads))


def run(threads: Threads, machine: Machine, batches: int, seed: int = 0) -> list[int]:
    """The numbers of threads of the batches."""
    rng = random.Random(seed)
    numbers = []
    for _ in range(batches):
        numbers.append(threads.way.threads)
        threads.ran(machine(threads.way.threads, rng))
    return numbers


@pytest.mark.parametrize("most", [2, 4, 16])
def test_a_calm_machine_uses_all_threads_and_tries_fewer_rarely(most: int):
    numbers = run(Threads(most), calm, 5000)
    assert numbers.count(most) > 0.99 * len(numbers)
    assert numbers[-LATEST:].count(most) >= LATEST - 2


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("most", [2, 4])
def test_a_busy_machine_soon_uses_one_thread_and_a_calm_one_all_again(most: int, seed: int):
    threads = Threads(most)
    run(threads, calm, 300, seed)
    numbers = run(threads, busy, 300, seed)
    assert numbers[60:].count(1) > 0.9 * len(numbers[60:])
    numbers = run(threads, calm, 300, seed)
    assert numbers[60:].count(most) > 0.9 * len(numbers[60:])


@pytest.mark.parametrize("seed", range(8))
def test_a_machine_that_is_busy_from_the_start_uses_one_thread(seed: int):
    numbers = run(Threads(2), busy, 200, seed)
    assert numbers[40:].count(1) > 0.9 * len(numbers[40:])


def test_a_machine_that_slows_down_any_number_of_threads_alike_keeps_all():
    threads = Threads(2)
    run(threads, calm, 100)
    numbers = run(threads, lambda count, rng: 10 * calm(count, rng), 300)
    assert numbers.count(2) > 0.95 * len(numbers)


def test_one_stall_changes_nothing():
    threads = Threads(2)
    run(threads, calm, 100)
    threads.ran(100.0)
    assert run(threads, calm, 50).count(2) >= 48


@pytest.mark.parametrize("load", [3.0, 30.0])
@pytest.mark.parametrize("rows", [1, 2, 8])
def test_a_machine_that_was_busy_during_warm_up_too_soon_uses_one_thread(rows: int, load: float):
    threads = Threads(2)
    cost = fit([(32, 2 * load * 0.02), (512, 2 * load * 0.2)], packed=True, max_seconds=0.5, max_units=16_384)
    numbers = []
    for _ in range(20):
        numbers.append(threads.way.threads)
        calm_seconds = 0.0075 + 0.000375 * 64 * rows
        threads.ran(*cost.learn(64 * rows, load * calm_seconds * (1 if numbers[-1] == 1 else 2)))
    assert numbers[FIRST : FIRST + TRIAL] == [1] * TRIAL
    assert numbers.count(1) >= 16


@pytest.mark.parametrize("load", [10.0, 100.0])
def test_a_way_that_is_faster_on_a_very_busy_machine_is_used(load: float):
    threads = Threads(2)
    run(threads, calm, 100)
    numbers = run(threads, lambda count, _: load * count, 300)
    assert numbers[60:].count(1) > 0.9 * len(numbers[60:])


@pytest.mark.parametrize("gain", [1.0, 1.1])
def test_a_small_gain_is_not_worth_a_change(gain: float):
    numbers = run(Threads(2), lambda count, _: 1.0 if count == 2 else 1 / gain, 500)
    assert numbers.count(2) > 0.97 * len(numbers)


def test_trials_become_rare_while_they_lose():
    numbers = run(Threads(2), lambda count, _: 1.0 if count == 2 else 1.7, 3000)
    trials = [at for at, count in enumerate(numbers) if count == 1]
    gaps = [later - earlier - 1 for earlier, later in itertools.pairwise(trials)]
    assert trials[0] == FIRST
    assert gaps == sorted(gaps)
    assert gaps[-1] == LATEST


def test_a_fixed_number_stays():
    assert run(Threads(4, fixed=True), busy, 100) == [4] * 100
    assert run(Threads(1), busy, 100) == [1] * 100


def test_parts_with_a_thread_each_are_used_where_they_are_faster():
    threads = Threads(2, divisible=True)
    slowness = {Way(2): 6.0, Way(1): 3.0, Way(1, 2): 2.0, Way(1, 4): 1.5}
    for _ in range(60):
        threads.ran(slowness[threads.way])
    assert threads.way == Way(1, 4)
    calm = {Way(2): 1.0, Way(1): 1.7, Way(1, 2): 1.1, Way(1, 4): 1.1}
    for _ in range(40):
        threads.ran(calm[threads.way])
    assert calm[threads.way] <= 1.1


def test_parts_are_tried_before_fewer_threads_which_they_surpass_by_little():
    threads = Threads(2, divisible=True)
    slowness = {Way(2): 10.6, Way(1): 5.4, Way(1, 2): 4.5, Way(1, 4): 4.8}  # as measured beside twenty busy processes
    for _ in range(40):
        threads.ran(slowness[threads.way])
    assert threads.way == Way(1, 2)


def test_the_ways_are_halves_of_the_threads_and_parts():
    assert others(1, divisible=True) == []
    assert others(6, divisible=False) == [Way(3), Way(1)]
    assert others(4, divisible=True) == [Way(1, 4), Way(1, 8), Way(2), Way(1)]
