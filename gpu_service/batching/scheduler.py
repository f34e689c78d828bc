"""Decides what runs next: pure policy, told the time, knowing neither models nor threads.

Tickets wait in flows, one per model and priority. The flow that has had the least device time for its weight runs next;
its batch holds its oldest ticket and whatever else makes the batch more efficient, within the budget of its cost model.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu_service.batching.cost_model import Cost
from gpu_service.batching.idle_wait import Gathering

WEIGHTS = {False: 8.0, True: 1.0}  # of single requests and of bulk work
WINDOW = 512  # tickets that are looked at for one padded batch


@dataclass(slots=True, eq=False)
class Ticket:
    """One instance that waits for its turn. `owner` and `index` are the submitter's own."""

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
class Batch:
    """What runs together; `seconds` is the expected duration."""

    model: str
    bulk: bool
    tickets: list[Ticket]
    seconds: float


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
        """What it takes to work off all that waits, in full batches."""
        return self.cost.drain(len(self.tickets), self.units) if self.tickets else 0.0


class Scheduler:
    """Flows of waiting tickets. Not thread-safe: whoever shares one holds a lock."""

    def __init__(self, costs: Mapping[str, Cost], *, max_queue: int, max_wait_s: float) -> None:
        self.costs = costs
        self.max_queue = max_queue
        self.max_wait_s = max_wait_s
        self.flows = {(model, bulk): Flow(model, bulk, cost) for model, cost in costs.items() for bulk in (False, True)}
        self.waiting = 0
        self._reached = 0.0  # `used` of the flow that ran last, when its turn came

    @property
    def wait_s(self) -> float:
        """Seconds until the single requests that wait now are done; bulk work hardly holds them up."""
        return sum(flow.seconds for flow in self.flows.values() if not flow.bulk)

    def admits(self, count: int) -> bool:
        """Whether a single request of `count` tickets may wait; an empty queue takes any, however large.

        Bulk work isn't asked: whoever streams it bounds how much of it waits. Nobody is refused for an expected wait
        that warm-up alone vouches for: on a busy machine it measures a hundred times too much.
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
            ticket.arrived = now
            flow.tickets.append(ticket)
            flow.units += ticket.size
            flow.gathering.arrive()
            self.waiting += 1

    def next(self, now: float) -> tuple[Batch | None, list[Ticket]]:
        """The batch to run now, and the tickets whose deadline passed; both leave the queue, as do cancelled ones."""
        expired: list[Ticket] = []
        while flow := min((flow for flow in self.flows.values() if flow.tickets), key=_turn, default=None):
            expired += self._sweep(flow, now)
            if flow.tickets:
                return self._cut(flow), expired
        return None, expired

    def patience(self, now: float) -> float:
        """Seconds that an idle device had better wait for more of the only requests that wait; 0 when it should run."""
        waiting = [flow for flow in self.flows.values() if flow.tickets]
        if len(waiting) != 1 or waiting[0].bulk:
            return 0.0
        return waiting[0].gathering.wait(now, waiting[0].units, waiting[0].cost)

    def charge(self, batch: Batch, seconds: float, now: float) -> None:
        """Corrects what the batch, which ended just now, was expected to take by what it took."""
        flow = self.flows[batch.model, batch.bulk]
        flow.gathering.answer(len(batch.tickets), now)
        flow.cost.learn(flow.cost.units([ticket.size for ticket in batch.tickets]), seconds)
        flow.used += (seconds - batch.seconds) / WEIGHTS[batch.bulk]

    def _least_used(self) -> float:
        return min((flow.used for flow in self.flows.values() if flow.tickets), default=self._reached)

    def _sweep(self, flow: Flow, now: float) -> list[Ticket]:
        """Takes cancelled and expired tickets out of what the next batch is cut from."""
        head = [flow.tickets.popleft() for _ in range(min(WINDOW, len(flow.tickets)))]
        alive = [ticket for ticket in head if not ticket.cancelled and ticket.deadline > now]
        flow.tickets.extendleft(reversed(alive))
        if len(alive) < len(head):
            self.waiting -= len(head) - len(alive)
            flow.units -= sum(ticket.size for ticket in head) - sum(ticket.size for ticket in alive)
        return [ticket for ticket in head if not ticket.cancelled and ticket.deadline <= now]

    def _cut(self, flow: Flow) -> Batch:
        chosen = _fifo(flow) if flow.cost.packed else _grown(flow)
        units = flow.cost.units([ticket.size for ticket in chosen])
        flow.units -= sum(ticket.size for ticket in chosen)
        self.waiting -= len(chosen)
        batch = Batch(flow.model, flow.bulk, chosen, flow.cost.seconds(units))
        self._reached = flow.used
        flow.used += batch.seconds / WEIGHTS[flow.bulk]
        return batch


def _turn(flow: Flow) -> float:
    return flow.used


def _fifo(flow: Flow) -> list[Ticket]:
    """Without padding there is nothing to gain from another order."""
    chosen = [flow.tickets.popleft()]
    units = chosen[0].size
    while flow.tickets and units + flow.tickets[0].size <= flow.cost.budget:
        chosen.append(flow.tickets.popleft())
        units += chosen[-1].size
    return chosen


def _grown(flow: Flow) -> list[Ticket]:
    """The oldest ticket and its neighbours by size, as long as each makes the batch do more per second."""
    window = [flow.tickets.popleft() for _ in range(min(WINDOW, len(flow.tickets)))]
    order = sorted(range(len(window)), key=lambda index: window[index].size)
    at = order.index(0)
    low, high = _grow([window[index].size for index in order], at, flow.cost)
    chosen = set(order[low:high])
    flow.tickets.extendleft(window[index] for index in reversed(range(len(window))) if index not in chosen)
    return [window[index] for index in sorted(chosen)]


def _grow(sizes: Sequence[int], at: int, cost: Cost) -> tuple[int, int]:
    """The range around `at` in sorted sizes that is worth running together."""
    low, high = at, at + 1
    best = (low, high)
    done = sizes[at]
    rate = done / cost.seconds(sizes[at])
    while low > 0 or high < len(sizes):
        shorter_is_nearer = low > 0 and (high == len(sizes) or sizes[at] - sizes[low - 1] <= sizes[high] - sizes[at])
        low, high = (low - 1, high) if shorter_is_nearer else (low, high + 1)
        units = (high - low) * sizes[high - 1]
        if units > cost.budget:
            break
        done += sizes[low] if shorter_is_nearer else sizes[high - 1]
        if done / cost.seconds(units) >= rate:
            rate, best = done / cost.seconds(units), (low, high)
    return best
