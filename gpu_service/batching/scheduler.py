"""Decides what runs next: a policy without clock, models or threads.

Tickets wait in flows, one per model and priority. The flow that has used the least device time for its weight runs
next. Its batch has the oldest ticket and others that make it more efficient, within the budget of the cost model.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu_service.batching.cost_model import Cost, Slowness
from gpu_service.batching.idle_wait import Gathering

WEIGHTS = {False: 8.0, True: 1.0}  # of single requests, of bulk work
WINDOW = 512  # tickets considered for one padded batch


@dataclass(slots=True, eq=False)
class Ticket:
    """One instance that waits to be run; `owner` and `index` are for the submitter."""

    model: str
    data: Any
    size: int
    deadline: float
    bulk: bool = False
    owner: Any = None
    index: int = 0
    arrived: float = 0.0
    cancelled: bool = False


@dataclass(slots=True)
class Flow:
    """The tickets of one model and priority in order of arrival; `used` is device time divided by weight."""

    model: str
    bulk: bool
    cost: Cost
    tickets: deque[Ticket] = field(default_factory=deque)
    units: int = 0
    used: float = 0.0
    gathering: Gathering = field(default_factory=Gathering)

    @property
    def seconds(self) -> float:
        """The expected time to run all its tickets, in full batches."""
        return self.cost.drain(len(self.tickets), self.units) if self.tickets else 0.0


@dataclass(slots=True)
class Batch:
    """Tickets of one flow that run together; `seconds` is the expected duration."""

    flow: Flow
    tickets: list[Ticket]
    seconds: float

    @property
    def model(self) -> str:
        return self.flow.model

    @property
    def bulk(self) -> bool:
        return self.flow.bulk


class Scheduler:
    """Flows of waiting tickets. Not thread-safe: callers that share one need a lock."""

    def __init__(self, costs: Mapping[str, Cost], *, max_queue: int, max_wait_s: float) -> None:
        self.max_queue = max_queue
        self.max_wait_s = max_wait_s
        self.flows: dict[tuple[str, bool], Flow] = {}
        self.waiting = 0
        self._reached = 0.0  # `used` of the flow that ran last, when its turn came
        for model, cost in costs.items():
            self.add_model(model, cost)

    def add_model(self, model: str, cost: Cost) -> None:
        for bulk in (False, True):
            self.flows[model, bulk] = Flow(model, bulk, cost)

    def remove_model(self, model: str) -> None:
        """Forgets a model that nobody uses: its tickets, if any are left, were cancelled."""
        for bulk in (False, True):
            self.waiting -= len(self.flows.pop((model, bulk)).tickets)

    @property
    def wait_s(self) -> float:
        """Expected seconds until the waiting single requests are done; bulk work hardly delays them."""
        return sum(flow.seconds for flow in self.flows.values() if not flow.bulk)

    def admits(self, count: int) -> bool:
        """Whether a single request with `count` tickets may wait; an empty queue admits any number.

        Bulk work is exempt, since its submitter limits how much waits. An estimate from warm-up alone refuses
        no request: on a busy machine it may be a hundred times too high.
        """
        singles = [flow for flow in self.flows.values() if not flow.bulk]
        waiting = sum(len(flow.tickets) for flow in singles)
        expected = sum(flow.seconds for flow in singles if flow.cost.is_proven)
        return not waiting or (waiting + count <= self.max_queue and expected <= self.max_wait_s)

    def add(self, tickets: Iterable[Ticket], now: float) -> None:
        for ticket in tickets:
            flow = self.flows[ticket.model, ticket.bulk]
            if not flow.tickets:
                flow.used = max(flow.used, self._least_used())
                flow.cost.forget(now)
            ticket.arrived = now
            flow.tickets.append(ticket)
            flow.units += ticket.size
            flow.gathering.arrive()
            self.waiting += 1

    def next(self, now: float) -> tuple[Batch | None, list[Ticket]]:
        """The batch to run now and the expired tickets; both leave the queue, as do cancelled tickets."""
        expired: list[Ticket] = []
        while flow := min((flow for flow in self.flows.values() if flow.tickets), key=_used, default=None):
            expired += self._sweep(flow, now)
            if flow.tickets:
                return self._cut(flow), expired
        return None, expired

    def patience(self, now: float) -> float:
        """Seconds that an idle device should wait for more requests; 0 when it should run now."""
        waiting = [flow for flow in self.flows.values() if flow.tickets]
        if len(waiting) != 1 or waiting[0].bulk:
            return 0.0
        return waiting[0].gathering.wait(now, waiting[0].units, waiting[0].cost)

    def charge(self, batch: Batch, seconds: float, now: float) -> Slowness:
        """Replaces the expected duration of a batch, which has just ended."""
        flow = batch.flow
        flow.gathering.answer(len(batch.tickets), now)
        flow.used += (seconds - batch.seconds) / WEIGHTS[batch.bulk]
        flow.cost.updated = now
        return flow.cost.learn(flow.cost.units([ticket.size for ticket in batch.tickets]), seconds)

    def _least_used(self) -> float:
        return min((flow.used for flow in self.flows.values() if flow.tickets), default=self._reached)

    def _sweep(self, flow: Flow, now: float) -> list[Ticket]:
        """Removes cancelled and expired tickets from the head of the queue; returns the expired ones."""
        head = [flow.tickets.popleft() for _ in range(min(WINDOW, len(flow.tickets)))]
        alive = [ticket for ticket in head if not ticket.cancelled and ticket.deadline > now]
        flow.tickets.extendleft(reversed(alive))
        if len(alive) < len(head):
            self.waiting -= len(head) - len(alive)
            flow.units -= sum(ticket.size for ticket in head) - sum(ticket.size for ticket in alive)
        return [ticket for ticket in head if not ticket.cancelled and ticket.deadline <= now]

    def _cut(self, flow: Flow) -> Batch:
        chosen = _oldest(flow) if flow.cost.packed else _similar(flow)
        units = flow.cost.units([ticket.size for ticket in chosen])
        flow.units -= sum(ticket.size for ticket in chosen)
        self.waiting -= len(chosen)
        batch = Batch(flow, chosen, flow.cost.seconds(units))
        self._reached = flow.used
        flow.used += batch.seconds / WEIGHTS[flow.bulk]
        return batch


def _used(flow: Flow) -> float:
    return flow.used


def _oldest(flow: Flow) -> list[Ticket]:
    """Tickets in order of arrival: without padding, another order gains nothing."""
    chosen = [flow.tickets.popleft()]
    units, budget = chosen[0].size, flow.cost.budget
    while flow.tickets and units + flow.tickets[0].size <= budget:
        chosen.append(flow.tickets.popleft())
        units += chosen[-1].size
    return chosen


def _similar(flow: Flow) -> list[Ticket]:
    """The oldest ticket and its neighbours by size, as long as each raises the units per second."""
    window = [flow.tickets.popleft() for _ in range(min(WINDOW, len(flow.tickets)))]
    order = sorted(range(len(window)), key=lambda index: window[index].size)
    at = order.index(0)
    low, high = _best_range([window[index].size for index in order], at, flow.cost)
    chosen = set(order[low:high])
    flow.tickets.extendleft(window[index] for index in reversed(range(len(window))) if index not in chosen)
    return [window[index] for index in sorted(chosen)]


def _best_range(sizes: Sequence[int], at: int, cost: Cost) -> tuple[int, int]:
    """The range around `at` in sorted sizes with the most units per second."""
    low, high = at, at + 1
    best = (low, high)
    done, budget = sizes[at], cost.budget
    rate = done / cost.seconds(sizes[at])
    while low > 0 or high < len(sizes):
        shorter_is_nearer = low > 0 and (high == len(sizes) or sizes[at] - sizes[low - 1] <= sizes[high] - sizes[at])
        low, high = (low - 1, high) if shorter_is_nearer else (low, high + 1)
        units = (high - low) * sizes[high - 1]
        if units > budget:
            break
        done += sizes[low] if shorter_is_nearer else sizes[high - 1]
        if (new_rate := done / cost.seconds(units)) >= rate:
            rate, best = new_rate, (low, high)
    return best
