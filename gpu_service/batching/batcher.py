"""Runs what the scheduler chooses: one thread keeps the device busy while the event loop admits and answers."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gpu_service.batching.scheduler import Batch, Scheduler, Ticket
from gpu_service.errors import DeadlineExceeded, InferenceFailed, Overloaded, Unavailable

logger = logging.getLogger(__name__)


class Pending(Protocol):
    """A batch on its way."""

    @property
    def is_async(self) -> bool: ...

    def rows(self) -> list[Any]: ...


class Runner(Protocol):
    """What a batcher knows of a model."""

    def launch(self, data: Sequence[Any], top: int) -> Pending: ...


class Observer(Protocol):
    """Is told of every batch that ran."""

    def batch(self, batch: Batch, units: int, queue_s: Sequence[float], seconds: float) -> None: ...


@dataclass(slots=True, eq=False)
class Order:
    """The instances of one request: outcomes fill in as batches end, then `done` is set.

    A list in `runs` is given the batches that it was part of, and when each one's rows were handed out.
    """

    done: asyncio.Future[None]
    top: int
    outcomes: list[Any]
    left: int
    runs: "list[tuple[Run, float]] | None" = None
    arrived: float = 0.0
    queue_s: float = 0.0
    device_s: float = 0.0
    batch_s: float = 0.0


@dataclass(slots=True)
class Running:
    batch: Batch
    pending: Pending
    began: float


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A batch that ran: sent at `began`, it had the device for `seconds` until `ended`."""

    model: str
    rows: int
    units: int
    began: float
    ended: float
    seconds: float


Result = tuple[Ticket, Any, float, Run | None]  # ticket, row or error, its share of device seconds, the batch


class Batcher:
    """Admits orders on the event loop and works them off in a thread of its own.

    Raises (from submit):
        Overloaded: the queue is full, or too long for `max_wait_s`.
        Unavailable: it is stopping.
    """

    def __init__(
        self,
        runners: Mapping[str, Runner],
        scheduler: Scheduler,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.runners = runners
        self.scheduler = scheduler
        self.observer = observer
        self.clock = clock
        self._work = threading.Condition()
        self._stopping = False
        self._free_since = -math.inf  # when the device ended its last batch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    async def stop(self) -> None:
        """Ends the thread once what waits is done."""
        with self._work:
            self._stopping = True
            self._work.notify()
        await asyncio.to_thread(self._thread.join)

    def admit(self, count: int) -> None:
        """Raises Overloaded or Unavailable when a request of so many instances would be refused now."""
        with self._work:
            self._check(count)

    def _check(self, count: int) -> None:
        if self._stopping:
            raise Unavailable("The service is stopping.")
        if not self.scheduler.admits(count):
            wait = math.ceil(self.scheduler.wait_s)
            raise Overloaded("The queue is full.", retry_after=min(max(1, wait), 60))

    async def run(self, order: Order, tickets: list[Ticket]) -> None:
        """Waits until every ticket has its outcome; tickets of a caller that goes away are dropped."""
        if not tickets:
            return
        with self._work:
            if not tickets[0].bulk:
                self._check(len(tickets))
            order.arrived = self.clock()
            self.scheduler.add(tickets, order.arrived)
            self._work.notify()
        try:
            await order.done
        except asyncio.CancelledError:
            for ticket in tickets:
                ticket.cancelled = True
            raise

    def _run(self) -> None:
        """The device's thread: sends the next batch before it waits for the last one, where the device allows."""
        running: Running | None = None
        while True:
            batch = self._take(block=running is None)
            if batch is None and running is None:
                return
            launched = self._launch(batch) if batch else None
            if running is not None:
                self._finish(running)
            running = launched
            if running is not None and not running.pending.is_async:
                self._finish(running)
                running = None

    def _take(self, *, block: bool) -> Batch | None:
        with self._work:
            while True:
                if block and not self._stopping and (seconds := self.scheduler.patience(self.clock())):
                    self._work.wait(seconds)
                    continue
                batch, expired = self.scheduler.next(self.clock())
                if expired:
                    late = DeadlineExceeded("The deadline passed before the instance's turn.")
                    self._deliver([(ticket, late, 0.0, None) for ticket in expired])
                if batch or not block or self._stopping:
                    return batch
                self._work.wait()

    def _launch(self, batch: Batch) -> Running | None:
        began = self.clock()
        try:
            return Running(batch, self._send(batch), began)
        except Exception as error:  # noqa: BLE001  whatever the model raises must not end the thread
            self._deliver(self._retry(batch, error))
            return None

    def _send(self, batch: Batch) -> Pending:
        top = max(ticket.owner.top for ticket in batch.tickets)
        return self.runners[batch.model].launch([ticket.data for ticket in batch.tickets], top)

    def _finish(self, running: Running) -> None:
        batch = running.batch
        try:
            rows = running.pending.rows()
        except Exception as error:  # noqa: BLE001
            self._deliver(self._retry(batch, error))
            return
        self._deliver(self._results(batch, rows, running.began))

    def _results(self, batch: Batch, rows: list[Any], began: float) -> list[Result]:
        ended = self.clock()
        seconds = ended - max(began, self._free_since)  # what was sent early waited for the batch before it
        self._free_since = ended
        units = sum(ticket.size for ticket in batch.tickets)
        with self._work:
            self.scheduler.charge(batch, seconds, ended)
        self.observer.batch(batch, units, [began - ticket.arrived for ticket in batch.tickets], seconds)
        share = seconds / units
        run = Run(batch.model, len(batch.tickets), units, began, ended, seconds)
        return [(ticket, row, ticket.size * share, run) for ticket, row in zip(batch.tickets, rows, strict=True)]

    def _retry(self, batch: Batch, error: Exception) -> list[Result]:
        """Halves of a batch that failed, until what is at fault stands alone."""
        is_memory = type(error).__name__ == "OutOfMemoryError"
        if is_memory:
            cost = self.scheduler.costs[batch.model]
            with self._work:
                cost.shrink(cost.units([ticket.size for ticket in batch.tickets]))
        if len(batch.tickets) == 1:
            logger.error("inference failed", exc_info=error, extra={"fields": {"model": batch.model}})
            failure = InferenceFailed("The model failed on this instance.")
            return [(batch.tickets[0], failure, 0.0, None)]
        logger.warning(
            "a batch failed and is halved",
            extra={"fields": {"model": batch.model, "rows": len(batch.tickets), "out_of_memory": is_memory}},
        )
        middle = len(batch.tickets) // 2
        results: list[Result] = []
        for tickets in (batch.tickets[:middle], batch.tickets[middle:]):
            half = Batch(batch.model, batch.bulk, tickets, batch.seconds / 2)
            began = self.clock()
            try:
                results += self._results(half, self._send(half).rows(), began)
            except Exception as again:  # noqa: BLE001
                results += self._retry(half, again)
        return results

    def _deliver(self, results: list[Result]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, results, self.clock())


def _settle(results: list[Result], now: float) -> None:
    for ticket, outcome, share, run in results:
        order: Order = ticket.owner
        order.outcomes[ticket.index] = outcome
        order.device_s += share
        seconds = run.seconds if run is not None else 0.0
        order.batch_s = max(order.batch_s, seconds)
        order.queue_s = max(order.queue_s, now - ticket.arrived - seconds)
        if order.runs is not None and run is not None and (not order.runs or order.runs[-1][0] is not run):
            order.runs.append((run, now))
        order.left -= 1
        if not order.left and not order.done.done():
            order.done.set_result(None)
