"""The scheduler on a virtual clock, with thousands of random arrivals."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from gpu_service.batching.cost_model import PROVEN, Cost, fit
from gpu_service.batching.scheduler import WEIGHTS, Batch, Scheduler, Ticket

NEVER = float("inf")


def scheduler(**costs: Cost) -> Scheduler:
    return Scheduler(costs, max_queue=10**6, max_wait_s=1e6)


def packed(budget: int = 500) -> Cost:
    return Cost(base=0.002, each=0.0001, packed=True, limit=budget, max_seconds=1.0)


def proven(budget: int) -> Cost:
    return replace(packed(budget), batches=PROVEN)


def padded(budget: int = 500) -> Cost:
    return Cost(base=0.002, each=0.0001, packed=False, limit=budget, max_seconds=1.0)


def ticket(size: int = 1, *, model: str = "m", bulk: bool = False, deadline: float = NEVER) -> Ticket:
    return Ticket(model, size, size, deadline, bulk)


class Simulation:
    """A device that takes roughly as long as the cost model says, and arrivals at random times."""

    def __init__(self, chosen: Scheduler, seed: int) -> None:
        self.scheduler = chosen
        self.random = random.Random(seed)
        self.now = 0.0
        self.batches: list[tuple[float, float, Batch]] = []  # began, ended
        self.expired: list[Ticket] = []

    def run(self, arrivals: list[tuple[float, list[Ticket]]]) -> None:
        arrivals = sorted(arrivals, key=lambda arrival: arrival[0], reverse=True)
        while arrivals or self.scheduler.waiting:
            while arrivals and arrivals[-1][0] <= self.now:
                self.scheduler.add(arrivals.pop()[1], self.now)
            batch, expired = self.scheduler.next(self.now)
            self.expired += expired
            if batch is None:
                self.now = max(self.now, arrivals[-1][0]) if arrivals else self.now
                continue
            seconds = batch.seconds * self.random.uniform(0.7, 1.4)
            self.batches.append((self.now, self.now + seconds, batch))
            self.now += seconds
            self.scheduler.charge(batch, seconds, self.now)


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_random_arrivals_are_each_run_once_within_budget_and_bound(seed: int):
    rng = random.Random(seed)
    costs = {"a": packed(), "b": padded(), "c": Cost(0.004, 0.003, packed=False, limit=8, max_seconds=1.0)}
    simulation = Simulation(scheduler(**costs), seed)
    arrivals: list[tuple[float, list[Ticket]]] = []
    at = 0.0
    for _ in range(2_000):
        at += rng.expovariate(120)
        model, bulk = rng.choice("aabbc"), rng.random() < 0.2
        count = rng.choice([1, 1, 1, 2, 5])
        sizes = [1 if model == "c" else min(512, int(rng.lognormvariate(3.5, 1)) + 2) for _ in range(count)]
        arrivals.append((at, [ticket(size, model=model, bulk=bulk) for size in sizes]))
    simulation.run(list(arrivals))
    sent = [each for _, tickets in arrivals for each in tickets]
    ran = Counter(id(each) for _, _, batch in simulation.batches for each in batch.tickets)
    assert ran == Counter(id(each) for each in sent)
    assert not simulation.expired
    longest = max(ended - began for began, ended, _ in simulation.batches)
    ahead: Counter[tuple[str, bool]] = Counter()
    began_at = {id(each): began for began, _, batch in simulation.batches for each in batch.tickets}
    for each in sorted(sent, key=lambda each: each.arrived):
        flow = (each.model, each.bulk)
        older = sum(
            1
            for other in sent
            if (other.model, other.bulk) == flow and other.arrived <= each.arrived < began_at[id(other)]
        )
        shares = sum(WEIGHTS[bulk] for _ in costs for bulk in (False, True)) / WEIGHTS[each.bulk]
        assert began_at[id(each)] - each.arrived <= (older + 2) * longest * shares, "starved"
        ahead[flow] += 1
    for _, _, batch in simulation.batches:
        assert all(each.model == batch.model and each.bulk == batch.bulk for each in batch.tickets)
        cost = costs[batch.model]
        assert len(batch.tickets) == 1 or cost.units([each.size for each in batch.tickets]) <= cost.limit


def test_batches_form_while_the_device_is_busy_and_only_then():
    chosen = scheduler(m=packed())
    chosen.add([ticket(10)], 0.0)
    first, _ = chosen.next(0.0)
    assert first is not None
    assert len(first.tickets) == 1
    chosen.add([ticket(10) for _ in range(7)], 0.001)
    second, _ = chosen.next(0.002)
    assert second is not None
    assert len(second.tickets) == 7


def test_a_padded_batch_leaves_out_tickets_that_would_slow_it():
    chosen = scheduler(m=padded(10_000))
    chosen.add([ticket(20), ticket(500), ticket(22), ticket(19), ticket(510)], 0.0)
    sizes = []
    while batch := chosen.next(0.0)[0]:
        sizes.append(sorted(each.size for each in batch.tickets))
    assert sizes == [[19, 20, 22], [500, 510]]


def test_each_padded_batch_holds_its_flows_oldest_ticket():
    chosen = scheduler(m=padded(100))
    rng = random.Random(3)
    waiting = [ticket(rng.randint(1, 90)) for _ in range(200)]
    chosen.add(waiting, 0.0)
    while batch := chosen.next(0.0)[0]:
        assert waiting[0] in batch.tickets
        waiting = [each for each in waiting if each not in batch.tickets]
    assert not waiting


def test_models_share_the_device_by_time_not_by_requests():
    chosen = scheduler(cheap=packed(100), dear=Cost(0.02, 0.001, packed=True, limit=100, max_seconds=1.0))
    chosen.add([ticket(100, model=model) for model in ("cheap", "dear") for _ in range(3_000)], 0.0)
    used: Counter[str] = Counter()
    while sum(used.values()) < 20:
        batch, _ = chosen.next(0.0)
        assert batch is not None
        used[batch.model] += batch.seconds
    assert used["cheap"] == pytest.approx(used["dear"], rel=0.05)


def test_bulk_work_yields_to_requests_and_continues():
    chosen = scheduler(m=packed(10))
    chosen.add([ticket(10, bulk=True) for _ in range(100)] + [ticket(10) for _ in range(100)], 0.0)
    order = []
    while batch := chosen.next(0.0)[0]:
        order.append(batch.bulk)
    assert 8 <= order[:99].count(True) <= 14
    assert order.count(True) == 100


def test_an_idle_model_accumulates_no_credit():
    chosen = scheduler(busy=packed(10), idle=packed(10))
    chosen.add([ticket(10, model="busy") for _ in range(100)], 0.0)
    for _ in range(50):
        chosen.next(0.0)
    chosen.add([ticket(10, model="idle") for _ in range(50)], 0.0)
    turns = [batch.model for _ in range(20) if (batch := chosen.next(0.0)[0])]
    assert 9 <= turns.count("busy") <= 11


def test_late_and_cancelled_tickets_leave_the_queue_without_running():
    chosen = scheduler(m=packed())
    late, gone, fine = ticket(5, deadline=1.0), ticket(5), ticket(5)
    chosen.add([late, gone, fine], 0.0)
    gone.cancelled = True
    batch, expired = chosen.next(2.0)
    assert batch is not None
    assert (batch.tickets, expired, chosen.waiting) == ([fine], [late], 0)
    assert chosen.wait_s == 0


def test_the_queue_is_bounded_by_count_and_by_time():
    chosen = Scheduler({"m": proven(100)}, max_queue=50, max_wait_s=0.5)
    assert chosen.admits(10_000)
    chosen.add([ticket(1) for _ in range(40)], 0.0)
    assert chosen.admits(10)
    assert not chosen.admits(11)
    slow = Scheduler({"m": proven(100)}, max_queue=10**6, max_wait_s=0.5)
    slow.add([ticket(100) for _ in range(100)], 0.0)
    assert not slow.admits(1)
    assert slow.wait_s == pytest.approx(100 * 0.012)


def test_requests_are_not_refused_because_bulk_work_waits():
    chosen = Scheduler({"m": proven(100)}, max_queue=10**6, max_wait_s=0.5)
    chosen.add([ticket(100, bulk=True) for _ in range(100)], 0.0)
    assert chosen.admits(1)
    chosen.add([ticket(100) for _ in range(100)], 0.0)
    assert not chosen.admits(1)


def test_a_cost_is_fitted_to_measurements_and_then_corrected():
    cost = fit([(64, 0.003), (1024, 0.051)], packed=True, max_seconds=0.5, max_units=100_000)
    assert cost.seconds(1024) == pytest.approx(0.051, rel=0.01)
    assert 1024 <= cost.budget <= 10_000
    for _ in range(200):
        cost.learn(500, 0.1)
    assert cost.seconds(500) == pytest.approx(0.1, rel=0.1)
    cost.shrink(1000)
    assert cost.budget <= 500


TRUE = Cost(base=0.002, each=0.0001, packed=True, limit=16_384, max_seconds=0.5, enough=512)
WRONG = {
    "all of it 100 times": replace(TRUE, base=0.2, each=0.01),
    "each unit 100 times": replace(TRUE, each=0.01, enough=64),
    "base 100 times": replace(TRUE, base=0.2),
    "as once seen": replace(TRUE, base=0.261, each=0.092),
}


class LightLoad:
    """Clients that send their next request as soon as they are answered, and a device with the cost `TRUE`."""

    def __init__(self, cost: Cost, clients: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.cost = replace(cost)
        self.scheduler = Scheduler({"m": self.cost}, max_queue=2048, max_wait_s=10.0)
        self.refused = 0
        self.errors: list[float] = []  # of each batch's expected duration, as a ratio
        self.idle = clients

    def run(self, batches: int) -> None:
        now = 0.0
        for _ in range(batches):
            while self.idle:
                self.idle -= 1
                self.ask(now)
            batch, _ = self.scheduler.next(now)
            assert batch is not None
            seconds = TRUE.seconds(sum(each.size for each in batch.tickets)) * self.random.uniform(0.8, 1.6)
            now += seconds
            self.errors.append(batch.seconds / seconds)
            self.scheduler.charge(batch, seconds, now)
            self.idle += len(batch.tickets)

    def ask(self, now: float) -> None:
        if self.scheduler.admits(1):
            self.scheduler.add([ticket(min(512, int(self.random.lognormvariate(4, 0.7)) + 2))], now)
        else:
            self.refused += 1
            self.idle += 1
            assert self.refused < 1000, "no request is admitted"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("clients", [1, 8, 32])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_warm_up_on_a_busy_machine_causes_no_refusals_and_is_soon_corrected(wrong: Cost, clients: int, seed: int):
    load = LightLoad(wrong, clients, seed)
    load.run(60)
    assert load.refused == 0
    assert max(load.errors[6:]) < 3, "the estimate stays wrong"
    assert load.cost.budget >= 512


def test_a_confirmed_estimate_refuses_requests_that_would_wait_too_long():
    slow = replace(TRUE, base=0.5, each=0.001)
    chosen = Scheduler({"m": slow}, max_queue=2048, max_wait_s=1.0)
    chosen.add([ticket(100) for _ in range(40)], 0.0)
    assert chosen.admits(1), "nothing has run yet"
    for _ in range(PROVEN):
        batch, _ = chosen.next(0.0)
        assert batch is not None
        chosen.charge(batch, batch.seconds, 0.0)
    assert not chosen.admits(1)


def test_one_slow_batch_changes_little():
    cost = replace(TRUE)
    cost.learn(500, 100 * TRUE.seconds(500))
    assert TRUE.seconds(500) < cost.seconds(500) < 1.2 * TRUE.seconds(500)


def test_the_line_is_fitted_to_batches_of_all_sizes():
    cost = replace(TRUE, base=0.02, each=0.00001)
    rng = random.Random(1)
    for _ in range(300):
        units = rng.choice([5, 20, 100, 500, 2000])
        cost.learn(units, TRUE.seconds(units) * rng.uniform(0.9, 1.1))
    assert (cost.base, cost.each) == pytest.approx((TRUE.base, TRUE.each), rel=0.2)


@pytest.mark.parametrize("busy", [True, False], ids=["bulk", "single"])
def test_a_flow_that_was_idle_has_no_credit_though_the_queue_was_empty_when_it_came(busy: bool):
    chosen = scheduler(m=packed(10))
    for _ in range(1000):
        chosen.add([ticket(10, bulk=busy)], 0.0)
        assert chosen.next(0.0)[0]
    chosen.add([ticket(10, bulk=not busy) for _ in range(100)], 0.0)
    chosen.add([ticket(10, bulk=busy) for _ in range(100)], 0.0)
    turns = [batch.bulk for _ in range(45) if (batch := chosen.next(0.0)[0])]
    assert turns.count(False) == pytest.approx(40, abs=2)


def test_a_flow_that_was_busy_keeps_what_it_used_when_it_comes_back():
    chosen = scheduler(a=packed(10), b=packed(10))
    chosen.add([ticket(10, model="a")], 0.0)
    chosen.add([ticket(10, model="b") for _ in range(20)], 0.0)
    first = chosen.next(0.0)[0]
    assert first is not None
    chosen.charge(first, 10 * first.seconds, 0.0)
    chosen.add([ticket(10, model="a") for _ in range(20)], 0.0)
    turns = [batch.model for _ in range(20) if (batch := chosen.next(0.0)[0])]
    assert turns.count("b") == pytest.approx(15, abs=1)


@pytest.mark.parametrize("cost", [packed(40), padded(40)], ids=["packed", "padded"])
def test_a_batch_may_fill_the_budget_to_the_last_unit(cost: Cost):
    chosen = scheduler(m=replace(cost, enough=10_000))
    waiting = [ticket(10) for _ in range(5)]
    chosen.add(waiting, 7.0)
    assert {each.arrived for each in waiting} == {7.0}
    sizes = []
    while batch := chosen.next(7.0)[0]:
        sizes.append(len(batch.tickets))
        assert batch.seconds == cost.seconds(10 * len(batch.tickets))
        assert chosen.waiting == 5 - sum(sizes)
    assert sizes == [4, 1]


def test_a_deadline_counts_from_the_moment_it_names():
    chosen = scheduler(m=packed())
    now, later = ticket(deadline=2.0), ticket(deadline=2.001)
    chosen.add([now, later], 0.0)
    batch, expired = chosen.next(2.0)
    assert batch is not None
    assert (batch.tickets, expired) == ([later], [now])


def test_what_leaves_the_queue_unrun_is_no_longer_waited_for():
    chosen = scheduler(m=packed(100))
    gone = ticket(100)
    chosen.add([gone, *(ticket(100, deadline=1.0) for _ in range(3)), *(ticket(100) for _ in range(2))], 0.0)
    gone.cancelled = True
    batch, expired = chosen.next(2.0)
    assert batch is not None
    assert (len(batch.tickets), len(expired), chosen.waiting) == (1, 3, 1)
    alone = scheduler(m=packed(100))
    alone.add([ticket(100)], 0.0)
    assert chosen.wait_s == alone.wait_s > 0


def test_time_that_a_batch_took_beyond_what_was_expected_is_charged():
    chosen = scheduler(a=packed(10), b=packed(10))
    chosen.add([ticket(10, model=model) for model in "ab" for _ in range(200)], 0.0)
    turns: Counter[str] = Counter()
    for _ in range(80):
        batch = chosen.next(0.0)[0]
        assert batch is not None
        turns[batch.model] += 1
        true = 0.003 if batch.model == "a" else 0.009
        chosen.flows[batch.model, False].cost.base = 0.002  # what is learnt is no part of this
        chosen.flows[batch.model, False].cost.each = 0.0001
        chosen.charge(batch, true, 0.0)
    assert turns["a"] == pytest.approx(60, abs=2)


def test_neighbours_by_size_join_the_oldest_nearest_first():
    cost = Cost(base=0.01, each=0.001, packed=False, limit=44, max_seconds=10.0, enough=10_000)
    chosen = scheduler(m=cost)
    chosen.add([ticket(size) for size in (10, 3, 9, 11, 18)], 0.0)
    batches = []
    while batch := chosen.next(0.0)[0]:
        batches.append([each.size for each in batch.tickets])
    assert batches[0] == [10, 9, 11]
    assert sorted(size for sizes in batches for size in sizes) == [3, 9, 10, 11, 18]
