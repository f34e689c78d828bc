"""Runs the batches that the scheduler cuts: one thread keeps the device busy, the event loop admits and delivers."""

import asyncio
import logging
import math
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gpu_service import logs
from gpu_service.batching.cost_model import Cost
from gpu_service.batching.order import Order, Run
from gpu_service.batching.runner import Pending, Runner
from gpu_service.batching.scheduler import Batch, Scheduler, Ticket
from gpu_service.errors import DeadlineExceeded, InferenceFailed, Overloaded, Unavailable

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Is notified of every batch that ran."""

    def batch(self, batch: Batch, units: int, queue_s: Sequence[float], seconds: float) -> None: ...


@dataclass(slots=True)
class Job:
    """A batch and the model that runs it, also when that is removed meanwhile."""

    batch: Batch
    runner: Runner


@dataclass(slots=True)
class Launched:
    job: Job
    pending: Pending
    began: float


Result = tuple[Ticket, Any, float, Run | None]  # ticket, row or error, share of the device seconds, batch


class Batcher:
    """Admits orders on the event loop and runs them on a thread of its own."""

    def __init__(
        self,
        runners: Mapping[str, Runner],
        scheduler: Scheduler,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.runners = dict(runners)
        self.scheduler = scheduler
        self.observer = observer
        self.clock = clock
        self._work = threading.Condition()
        self._stopping = False
        self._is_lost = False  # whether the device no longer computes
        self._free_since = -math.inf  # when the device finished its last batch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def add(self, model: str, runner: Runner, cost: Cost) -> None:
        with self._work:
            self.runners[model] = runner
            self.scheduler.add_model(model, cost)

    def remove(self, model: str) -> None:
        """Forgets a model that nobody waits for. A batch of it that still runs has its own reference."""
        with self._work:
            del self.runners[model]
            self.scheduler.remove_model(model)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    async def stop(self) -> None:
        """Ends the thread after all waiting batches have run."""
        with self._work:
            self._stopping = True
            self._work.notify()
        await asyncio.to_thread(self._thread.join)

    def admit(self, count: int) -> None:
        """Checks that a request with so many instances would be admitted now.

        Raises:
            Overloaded: the queue is full, or its expected wait is too long.
            Unavailable: the service is stopping.
        """
        with self._work:
            self._check(count)

    def _check(self, count: int) -> None:
        if self._stopping:
            raise Unavailable("The service is stopping.")
        if not self.scheduler.admits(count):
            wait = math.ceil(self.scheduler.wait_s)
            raise Overloaded("The queue is full.", retry_after=min(max(1, wait), 60))

    async def run(self, order: Order, tickets: list[Ticket]) -> None:
        """Waits until every ticket has its outcome; when the caller is cancelled, its tickets are dropped.

        Raises:
            Overloaded, Unavailable: as `admit` does, but for bulk work only when the device is lost.
        """
        if not tickets:
            return
        order.left = len(tickets)
        with self._work:
            if not tickets[0].bulk or self._is_lost:
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
        """The device's thread: on a GPU, sends the next batch before it waits for the previous one."""
        running: Launched | None = None
        while not self._is_lost:
            job = self._take(block=running is None)
            if job is None and running is None:
                return
            launched = self._launch(job) if job else None
            if running is not None:
                self._finish(running)
            running = launched
            if running is not None and not running.pending.is_async:
                self._finish(running)
                running = None
        self._abandon(running)

    def _abandon(self, running: Launched | None) -> None:
        """Fails all that waits for a lost device; the thread then ends, so that the process is replaced."""
        if running is not None:
            self._finish(running)
        while (job := self._take(block=False)) is not None:
            self._deliver(_lost(job.batch))

    def _take(self, *, block: bool) -> Job | None:
        with self._work:
            while True:
                if block and not self._stopping and (seconds := self.scheduler.patience(self.clock())):
                    self._work.wait(seconds)
                    continue
                batch, expired = self.scheduler.next(self.clock())
                if expired:
                    error = DeadlineExceeded("The deadline passed before the instance was run.")
                    self._deliver([(ticket, error, 0.0, None) for ticket in expired])
                if batch or not block or self._stopping:
                    return Job(batch, self.runners[batch.model]) if batch else None
                self._work.wait()

    def _launch(self, job: Job) -> Launched | None:
        began = self.clock()
        try:
            return Launched(job, self._send(job), began)
        except Exception as error:  # noqa: BLE001  no error of a model may end the thread
            self._deliver(self._retry(job, error))
            return None

    def _send(self, job: Job) -> Pending:
        tickets = job.batch.tickets
        parameters = [ticket.owner.parameters[ticket.index] for ticket in tickets]
        return job.runner.launch([ticket.data for ticket in tickets], parameters)

    def _finish(self, running: Launched) -> None:
        try:
            rows = running.pending.rows()
        except Exception as error:  # noqa: BLE001
            self._deliver(self._retry(running.job, error))
            return
        self._deliver(self._results(running.job, rows, running.began))

    def _results(self, job: Job, rows: list[Any], began: float) -> list[Result]:
        batch, ended = job.batch, self.clock()
        seconds = ended - max(began, self._free_since)  # a batch sent early waited for the previous one
        self._free_since = ended
        units = sum(ticket.size for ticket in batch.tickets)
        with self._work:
            slowness = self.scheduler.charge(batch, seconds, ended)
        job.runner.ran(slowness)
        self.observer.batch(batch, units, [began - ticket.arrived for ticket in batch.tickets], seconds)
        share = seconds / units
        run = Run(batch.model, len(batch.tickets), units, began, ended, seconds)
        return [(ticket, row, ticket.size * share, run) for ticket, row in zip(batch.tickets, rows, strict=True)]

    def _retry(self, job: Job, error: Exception) -> list[Result]:
        """Halves a failed batch until the instance at fault is alone."""
        batch = job.batch
        traceback.clear_frames(error.__traceback__)  # whose locals would keep the failed batch on the device
        if not self._computes(job):
            return _lost(batch)
        is_out_of_memory = type(error).__name__ == "OutOfMemoryError"
        if is_out_of_memory:
            self._shrink(batch)
        if len(batch.tickets) == 1:
            logger.error("inference failed", exc_info=error, extra=logs.fields(model=batch.model))
            failure = InferenceFailed("The model failed on this instance.")
            return [(batch.tickets[0], failure, 0.0, None)]
        fields = logs.fields(model=batch.model, rows=len(batch.tickets), out_of_memory=is_out_of_memory)
        logger.warning("a batch failed and is halved", extra=fields)
        middle = len(batch.tickets) // 2
        results: list[Result] = []
        for tickets in (batch.tickets[:middle], batch.tickets[middle:]):
            half = Job(Batch(batch.flow, tickets, batch.seconds / 2), job.runner)
            began = self.clock()
            try:
                results += self._results(half, self._send(half).rows(), began)
            except Exception as again:  # noqa: BLE001
                results += self._retry(half, again)
        return results

    def _computes(self, job: Job) -> bool:
        """Whether the device still computes; some errors of a GPU make all later operations of its process fail."""
        try:
            job.runner.check()
        except Exception:
            logger.critical("the device no longer computes", exc_info=True, extra=logs.fields(model=job.batch.model))
            with self._work:
                self._is_lost = self._stopping = True
            return False
        return True

    def _shrink(self, batch: Batch) -> None:
        cost = batch.flow.cost
        with self._work:
            cost.shrink(cost.units([ticket.size for ticket in batch.tickets]))

    def _deliver(self, results: list[Result]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, results, self.clock())


def _lost(batch: Batch) -> list[Result]:
    return [(ticket, Unavailable("The device no longer computes."), 0.0, None) for ticket in batch.tickets]


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
        if isinstance(outcome, Unavailable) and not order.done.done():
            order.done.set_exception(outcome)
        order.left -= 1
        if not order.left and not order.done.done():
            order.done.set_result(None)
