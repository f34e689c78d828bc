"""The idle wait on a virtual clock: it makes batches larger where clients return, and stops where they do not."""

import heapq
import itertools
import random
import statistics
from dataclasses import replace

import pytest

from gpu_service.batching.cost_model import PROVEN, Cost
from gpu_service.batching.idle_wait import LARGE, LONGEST_S, PATIENCE, PROBE
from gpu_service.batching.scheduler import Scheduler, Ticket

COST = Cost(base=0.02, each=0.0005, packed=True, limit=16_384, max_seconds=0.5, batches=PROVEN)
SIZE = 50  # units of a ticket
AGAIN_S = 0.004  # from an answer until the same client's next request


def ticket(model: str = "m", *, bulk: bool = False) -> Ticket:
    return Ticket(model, None, SIZE, float("inf"), bulk)


def scheduler(**costs: Cost) -> Scheduler:
    return Scheduler(costs or {"m": replace(COST)}, max_queue=10**6, max_wait_s=1e6)


class Device:
    """A device and requests at set times; answered clients send their next request if they are to return."""

    def __init__(self, *, patient: bool, again_s: float | None) -> None:
        self.scheduler = scheduler()
        self.patient = patient
        self.again_s = again_s
        self.arrivals: list[float] = []
        self.batches: list[int] = []
        self.waits: list[float] = []
        self.latencies: list[float] = []
        self.now = 0.0

    def run(self, arrivals: list[float], until: float) -> float:
        """Answers per second."""
        self.arrivals = sorted(arrivals)
        while self.now < until and (self.arrivals or self.scheduler.waiting):
            self._admit()
            if self.patient and (seconds := self.scheduler.patience(self.now)):
                then = min(self.now + seconds, self.arrivals[0] if self.arrivals else until)
                self.waits.append(then - self.now)
                self.now = then
                continue
            batch, _ = self.scheduler.next(self.now)
            if batch is None:
                self.now = max(self.now, self.arrivals[0])
                continue
            self.now += batch.seconds
            self._admit()  # requests that arrived meanwhile are not among those answered now
            self.scheduler.charge(batch, batch.seconds, self.now)
            self.batches.append(len(batch.tickets))
            for each in batch.tickets:
                self.latencies.append(self.now - each.arrived)
                if self.again_s is not None:
                    heapq.heappush(self.arrivals, self.now + self.again_s)
        return len(self.latencies) / self.now

    def _admit(self) -> None:
        while self.arrivals and self.arrivals[0] <= self.now:
            self.scheduler.add([ticket()], heapq.heappop(self.arrivals))


@pytest.mark.parametrize("clients", [2, 3, 4, 6, 8])
def test_clients_that_return_immediately_share_a_batch(clients: int) -> None:
    rates, latencies = {}, {}
    for patient in (False, True):
        device = Device(patient=patient, again_s=AGAIN_S)
        rates[patient] = device.run([0.001 * n for n in range(clients)], until=60)
        latencies[patient] = statistics.median(device.latencies)
    assert set(device.batches[2:]) == {clients}
    assert rates[True] > 1.03 * rates[False]
    assert latencies[True] < latencies[False]


def test_a_single_client_never_waits() -> None:
    device = Device(patient=True, again_s=AGAIN_S)
    device.run([0.0], until=10)
    assert not device.waits
    assert max(device.latencies) == pytest.approx(COST.seconds(SIZE))


def test_it_hardly_waits_where_clients_do_not_return() -> None:
    arrivals = list(itertools.accumulate(random.Random(2).expovariate(15) for _ in range(6_000)))
    rates, latencies = {}, {}
    for patient in (False, True):
        device = Device(patient=patient, again_s=None)
        rates[patient] = device.run(arrivals, until=1e9)
        latencies[patient] = statistics.mean(device.latencies)
    assert sum(device.latencies) > 0
    assert len(device.waits) < 2 * len(device.batches) / PROBE
    assert latencies[True] < 1.02 * latencies[False]
    assert rates[True] == pytest.approx(rates[False], rel=1e-3)


def test_it_notices_when_clients_begin_to_return() -> None:
    device = Device(patient=True, again_s=None)
    device.run(list(itertools.accumulate(random.Random(3).expovariate(15) for _ in range(500))), until=1e9)
    device.again_s, device.batches = AGAIN_S, []
    device.run([device.now + 0.001 * n for n in range(8)], until=device.now + 60)
    assert set(device.batches[-50:]) == {8}


def test_a_wait_is_never_longer_than_its_bound() -> None:
    rng = random.Random(4)
    device = Device(patient=True, again_s=0.03)  # clients return, but too late
    device.run([rng.random() for _ in range(8)], until=60)
    assert device.waits
    assert max(device.waits) <= min(LONGEST_S, PATIENCE * device.scheduler.flows["m", False].cost.base) + 1e-9


def served(chosen: Scheduler, count: int) -> None:
    """Answers `count` requests at time 0, while one more waits."""
    chosen.add([ticket() for _ in range(count)], 0.0)
    batch, _ = chosen.next(0.0)
    assert batch is not None
    chosen.charge(batch, batch.seconds, 0.0)
    chosen.add([ticket()], 0.001)


def test_it_waits_for_no_more_clients_than_a_large_batch_needs() -> None:
    chosen = scheduler()
    served(chosen, 12)
    assert chosen.patience(0.002) > 0
    large = LARGE / (1 - LARGE) * COST.base / COST.each / SIZE
    chosen.add([ticket() for _ in range(round(large))], 0.003)
    assert chosen.patience(0.003) == 0


def test_it_does_not_wait_while_other_work_is_queued() -> None:
    for other in (ticket("n"), ticket("m", bulk=True)):
        chosen = scheduler(m=replace(COST), n=replace(COST))
        served(chosen, 4)
        assert chosen.patience(0.002) > 0
        chosen.add([other], 0.002)
        assert chosen.patience(0.002) == 0


def test_it_does_not_wait_on_warm_up_estimates_alone() -> None:
    chosen = scheduler(m=replace(COST, batches=0))
    served(chosen, 4)
    assert chosen.patience(0.002) == 0
