"""The scheduler on a simulated machine that stalls, slows down, or was busy during warm-up: it refuses no request that
would be answered in time, and its batches stay large.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from gpu_service.batching.cost_model import Cost, fit
from gpu_service.batching.scheduler import Batch, Scheduler, Ticket

LIMIT_S = 10.0
FEW, MANY = 32, 512  # tokens of warm-up's batches
BASE, EACH = 0.006, 0.00047


def calm_seconds(units: int) -> float:
    return BASE + EACH * units


Machine = Callable[[float, float, int], float]  # (calm seconds, now, number of the batch) → seconds

STEADY: dict[str, Machine] = {
    "calm": lambda calm, now, n: calm,
    "10 times slower": lambda calm, now, n: 10 * calm,
    "half a second more for each batch": lambda calm, now, n: calm + 0.5,
    "three seconds more for each batch": lambda calm, now, n: calm + 3,
    "twice as slow and a second more": lambda calm, now, n: 2 * calm + 1,
    "two seconds more for each tenth batch": lambda calm, now, n: calm + 2 * (n % 10 == 9),
}
RANDOM = random.Random(1)
UNSTEADY: dict[str, Machine] = {
    "one stall of 5 s": lambda calm, now, n: calm + 5 * (n == 40),
    "one stall of 60 s": lambda calm, now, n: calm + 60 * (n == 40),
    "up to 11 times slower": lambda calm, now, n: calm * RANDOM.choice([1, 1.5, 2, 3, 5, 11]),
    "busy every other half minute": lambda calm, now, n: calm + 1.5 * (int(now / 30) % 2),
}
WARMUPS = {
    "calm": (1.0, 1.0),
    "base near 0": (1.0, 2.2),
    "all 100 times too slow": (100.0, 100.0),
    "large batch 100 times too slow": (1.0, 100.0),
    "small batch 100 times too slow": (100.0, 1.0),
}


def warmed_up(name: str) -> Cost:
    little, much = (factor * calm_seconds(units) for factor, units in zip(WARMUPS[name], (FEW, MANY), strict=True))
    return fit([(FEW, little), (MANY, much)], packed=True, max_seconds=0.5, max_units=16_384)


@dataclass(eq=False)
class Refusal:
    """A refused request, and the requests ahead of it: it would have waited until the last of them is answered."""

    at: float
    ahead: set[Ticket]
    wait: float = float("inf")


@dataclass
class Service:
    """A scheduler, its device, and requests: of `clients` that return when answered, and at set times."""

    cost: Cost
    machine: Machine
    clients: int = 0
    arrivals: Iterable[float] = ()
    now: float = 0.0
    batches: list[Batch] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(7)
        self.scheduler = Scheduler({"m": self.cost}, max_queue=2048, max_wait_s=LIMIT_S)
        self.due = [(0.0, n) for n in range(self.clients)] + [(at, -1) for at in self.arrivals]
        heapq.heapify(self.due)

    def run(self, batches: int) -> None:
        last = len(self.batches) + batches
        while len(self.batches) < last and (self.due or self.scheduler.waiting):
            self._admit()
            batch, _ = self.scheduler.next(self.now)
            if batch is None:
                self.now = max(self.now, self.due[0][0])
                continue
            calm = calm_seconds(sum(ticket.size for ticket in batch.tickets)) * self.random.uniform(0.95, 1.25)
            seconds = self.machine(calm, self.now, len(self.batches))
            self.now += seconds
            self._admit()
            self.scheduler.charge(batch, seconds, self.now)
            self._answer(batch)

    def _admit(self) -> None:
        while self.due and self.due[0][0] <= self.now:
            at, client = heapq.heappop(self.due)
            if self.scheduler.admits(1):
                ticket = Ticket("m", None, self.random.randint(7, 150), float("inf"), owner=client)
                self.scheduler.add([ticket], at)
                continue
            self.refusals.append(Refusal(at, {each for flow in self.scheduler.flows.values() for each in flow.tickets}))
            if client >= 0:
                heapq.heappush(self.due, (at + 1, client))

    def _answer(self, batch: Batch) -> None:
        self.batches.append(batch)
        for ticket in batch.tickets:
            if ticket.owner >= 0:
                heapq.heappush(self.due, (self.now + 0.003, ticket.owner))
        for refusal in self.refusals:
            refusal.ahead -= set(batch.tickets)
            if not refusal.ahead:
                refusal.wait = min(refusal.wait, self.now - refusal.at)

    def rows(self, last: int) -> float:
        return sum(len(batch.tickets) for batch in self.batches[-last:]) / last


@pytest.mark.parametrize("warmup", WARMUPS)
@pytest.mark.parametrize("machine", STEADY)
@pytest.mark.parametrize("load", ["32 clients", "single requests, then a burst", "more than it can answer"])
def test_nothing_is_refused_that_would_be_answered_in_time(load: str, machine: str, warmup: str):
    service = Service(warmed_up(warmup), STEADY[machine])
    if load == "32 clients":
        service = Service(warmed_up(warmup), STEADY[machine], clients=32)
    elif load == "single requests, then a burst":
        service = Service(warmed_up(warmup), STEADY[machine], arrivals=[*range(20), *[20.0] * 400])
    else:
        rng = random.Random(3)
        service = Service(warmed_up(warmup), STEADY[machine], arrivals=[rng.uniform(0, 60) for _ in range(2400)])
    service.run(200)
    assert min((refusal.wait for refusal in service.refusals), default=LIMIT_S) > 0.9 * LIMIT_S


@pytest.mark.parametrize("warmup", WARMUPS)
@pytest.mark.parametrize("machine", [*STEADY, *UNSTEADY])
def test_batches_stay_large_while_many_wait(machine: str, warmup: str):
    service = Service(warmed_up(warmup), (STEADY | UNSTEADY)[machine], clients=32)
    service.run(120)
    if (machine, warmup) == ("10 times slower", "all 100 times too slow"):
        return  # what it measured is then what the machine takes, as far as it can know
    assert service.rows(60) >= 5.5
    if machine != "10 times slower":
        assert not service.refusals


@pytest.mark.parametrize("busy", STEADY)
def test_it_recovers_when_the_machine_is_calm_again(busy: str):
    service = Service(warmed_up("calm"), STEADY[busy], clients=32)
    service.run(60)
    service.machine = STEADY["calm"]
    service.refusals.clear()
    service.run(40)
    assert not service.refusals
    service.run(20)
    errors = [batch.seconds / calm_seconds(sum(each.size for each in batch.tickets)) for batch in service.batches[-20:]]
    assert max(errors) < 2
    assert 0.5 < service.cost.budget / 650 < 2.5


@pytest.mark.parametrize("warmup", WARMUPS)
@pytest.mark.parametrize("clients", [2, 8, 32])
def test_the_calm_line_is_learned_whatever_warm_up_measured(warmup: str, clients: int):
    service = Service(warmed_up(warmup), STEADY["calm"], clients=clients)
    service.run(150)
    for batch in service.batches[-20:]:
        units = sum(ticket.size for ticket in batch.tickets)
        assert service.cost.calm(units) == pytest.approx(calm_seconds(units), rel=0.35)


def test_a_line_without_a_base_gets_one():
    cost = Cost(0.0002, 0.001, packed=True, limit=16_384, max_seconds=0.5, enough=512)
    rng = random.Random(5)
    for _ in range(100):
        units = rng.choice([16, 40, 100, 250, 600])
        cost.learn(units, (0.02 + 0.0001 * units) * rng.uniform(1, 1.2))
    assert (cost.base, cost.each) == pytest.approx((0.02, 0.0001), rel=0.2)


@pytest.mark.parametrize("slow", [lambda calm: calm + 2, lambda calm: 10 * calm], ids=["stalls", "ten times slower"])
def test_slow_batches_leave_the_line_as_it_is(slow: Callable[[float], float]):
    cost = warmed_up("calm")
    before = cost.budget
    for _ in range(50):
        cost.learn(400, slow(calm_seconds(400)))
    assert cost.calm(400) == pytest.approx(calm_seconds(400), rel=0.3)
    assert cost.seconds(400) == pytest.approx(slow(calm_seconds(400)), rel=0.15)
    assert cost.budget >= before


def test_what_was_learned_about_a_busy_machine_is_soon_forgotten():
    cost = warmed_up("calm")
    for _ in range(100):
        cost.learn(400, 2.0)
    cost.forget(30.0)
    assert cost.seconds(400) < 1.3 * calm_seconds(400)


def test_a_measurement_that_was_too_fast_is_forgotten():
    cost = warmed_up("calm")
    cost.learn(400, 0.001)
    for _ in range(6000):
        cost.learn(400, calm_seconds(400))
    assert cost.calm(400) == pytest.approx(calm_seconds(400), rel=0.3)


def test_a_stall_is_paid_once_by_a_larger_batch():
    calm, stalled = warmed_up("calm"), warmed_up("calm")
    for _ in range(60):
        calm.learn(600, calm_seconds(600))
        stalled.learn(600, calm_seconds(600) + 3)
    assert stalled.budget > 1.3 * calm.budget


def test_batches_grow_in_steps_since_two_similar_sizes_say_little_about_large_ones():
    cost = warmed_up("calm")
    for units, seconds in [(40, 0.0212), (90, 0.0213), (160, 0.0214), (300, 0.0215)]:
        cost.learn(units, seconds)
    assert cost.budget <= 4 * MANY
