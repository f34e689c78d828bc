"""The batcher's thread with models that fail, fill the memory or take their time."""

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gpu_service.batching.batcher import Batcher
from gpu_service.batching.cost_model import Cost, Slowness
from gpu_service.batching.order import Order
from gpu_service.batching.scheduler import Batch, Scheduler, Ticket
from gpu_service.errors import DeadlineExceeded, InferenceFailed, Overloaded, Unavailable
from gpu_service.parameters import DEFAULTS, Parameters


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's exception."""


class Done:
    is_async = False

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def rows(self) -> list[Any]:
        return self._rows


class Late(Done):
    """Fails only when its rows are fetched, as a GPU does."""

    is_async = True

    def rows(self) -> list[Any]:
        if "poison" in self._rows:
            raise RuntimeError("device-side assert")
        return self._rows


class Echo:
    """Returns each payload itself; `capacity` rows fit into its memory, and `gate` blocks it."""

    def __init__(self, kind: type[Done] = Done, capacity: int = 10**6) -> None:
        self.kind, self.capacity = kind, capacity
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.batches: list[list[Any]] = []

    def launch(self, data: Sequence[Any], parameters: Sequence[Parameters]) -> Done:
        self.started.set()
        assert self.gate.wait(10)
        self.batches.append(list(data))
        if len(data) > self.capacity:
            raise OutOfMemoryError("CUDA out of memory")
        if "poison" in data and self.kind is Done:
            raise ValueError("a bad shape")
        return self.kind(list(data))

    def ran(self, slowness: Slowness) -> None:
        pass

    def check(self) -> None:
        pass


class Fragile(Echo):
    """Computes nothing any more after a poisoned instance, as a GPU after an illegal access to its memory."""

    is_lost = False

    def launch(self, data: Sequence[Any], parameters: Sequence[Parameters]) -> Done:
        self.is_lost = self.is_lost or "poison" in data
        return super().launch(["poison"] if self.is_lost else data, parameters)

    def check(self) -> None:
        if self.is_lost:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")


class Tensor:
    """Stands for a batch's memory on the device, which is free once nothing refers to it."""


class Full(Echo):
    """Runs out of memory in a batch of two or more, while no earlier batch may still be in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: weakref.WeakSet[Tensor] = weakref.WeakSet()

    def launch(self, data: Sequence[Any], parameters: Sequence[Parameters]) -> Done:
        assert not self.tensors, "a failed batch is still in memory"
        tensor = Tensor()
        self.tensors.add(tensor)
        if len(data) > 1:
            raise OutOfMemoryError("CUDA out of memory")
        return super().launch(data, parameters)


class Silent:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def batch(self, batch: Batch, units: int, queue_s: Sequence[float], seconds: float) -> None:
        self.seconds.append(seconds)
        assert units == sum(ticket.size for ticket in batch.tickets)


@asynccontextmanager
async def batcher(echo: Echo, *, max_queue: int = 10**6) -> AsyncIterator[Batcher]:
    cost = Cost(0.001, 0.001, packed=True, limit=64, max_seconds=10.0)
    made = Batcher({"m": echo}, Scheduler({"m": cost}, max_queue=max_queue, max_wait_s=60.0), Silent())
    made.start()
    yield made
    echo.gate.set()
    await made.stop()
    assert not made.is_alive


async def ask(batcher: Batcher, *data: Any, deadline: float = float("inf")) -> list[Any]:
    order = Order(asyncio.get_running_loop().create_future(), [DEFAULTS] * len(data), [None] * len(data))
    await batcher.run(order, [Ticket("m", value, 1, deadline, owner=order, index=n) for n, value in enumerate(data)])
    return order.outcomes


async def hold(echo: Echo, batcher: Batcher) -> "asyncio.Task[list[Any]]":
    """Keeps the device busy with one instance until the gate opens."""
    echo.gate.clear()
    echo.started.clear()
    held = asyncio.create_task(ask(batcher, "held"))
    assert await asyncio.to_thread(echo.started.wait, 10)
    return held


def test_every_request_gets_its_own_answers():
    async def check() -> None:
        async with batcher(echo := Echo()) as made:
            held = await hold(echo, made)
            requests = [asyncio.create_task(ask(made, (n, 0), (n, 1))) for n in range(100)]
            await asyncio.sleep(0)
            echo.gate.set()
            assert await asyncio.gather(*requests) == [[(n, 0), (n, 1)] for n in range(100)]
            assert await held == ["held"]
            assert [len(batch) for batch in echo.batches] == [1, 64, 64, 64, 8]

    asyncio.run(check())


def test_a_failed_batch_is_freed_before_its_halves_run():
    async def check() -> None:
        async with batcher(Full()) as made:
            assert await ask(made, *range(8)) == [*range(8)]

    asyncio.run(check())


@pytest.mark.parametrize("kind", [Done, Late])
def test_a_poisoned_instance_fails_alone(kind: type[Done]):
    async def check() -> None:
        async with batcher(echo := Echo(kind)) as made:
            outcomes = await ask(made, *range(5), "poison", *range(6, 20))
            assert [type(outcome) for outcome in outcomes].count(InferenceFailed) == 1
            assert isinstance(outcomes[5], InferenceFailed)
            assert outcomes[:5] + outcomes[6:] == [n for n in range(20) if n != 5]
            assert await ask(made, "after") == ["after"]
            assert len(echo.batches) < 20

    asyncio.run(check())


def test_running_out_of_memory_halves_later_batches():
    async def check() -> None:
        async with batcher(echo := Echo(capacity=10)) as made:
            assert await ask(made, *range(40)) == list(range(40))
            assert await ask(made, *range(40)) == list(range(40))
            assert [len(batch) for batch in echo.batches[-4:]] == [10, 10, 10, 10]

    asyncio.run(check())


def test_device_time_of_overlapping_batches_is_counted_once():
    now = 0.0

    class Second(Late):
        """Each batch keeps the device busy for a second after the previous one."""

        def rows(self) -> list[Any]:
            nonlocal now
            now += 1.0
            return super().rows()

    async def check() -> None:
        echo = Echo(Second)
        cost = Cost(0.001, 0.001, packed=True, limit=4, max_seconds=10.0)
        scheduler = Scheduler({"m": cost}, max_queue=100, max_wait_s=60.0)
        made = Batcher({"m": echo}, scheduler, recorder := Silent(), clock=lambda: now)
        made.start()
        await ask(made, *range(12))
        await made.stop()
        assert recorder.seconds == [1.0, 1.0, 1.0]

    asyncio.run(check())


def test_a_cancelled_request_is_not_run():
    async def check() -> None:
        async with batcher(echo := Echo()) as made:
            held = await hold(echo, made)
            gone = asyncio.create_task(ask(made, "gone"))
            stays = asyncio.create_task(ask(made, "stays"))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.sleep(0)
            echo.gate.set()
            assert await stays == ["stays"]
            await held
            assert echo.batches == [["held"], ["stays"]]

    asyncio.run(check())


def test_a_request_past_its_deadline_gets_an_error():
    async def check() -> None:
        async with batcher(echo := Echo()) as made:
            (outcome,) = await ask(made, "late", deadline=0.0)
            assert isinstance(outcome, DeadlineExceeded)
            assert await ask(made, "in time") == ["in time"]
            assert echo.batches == [["in time"]]

    asyncio.run(check())


def test_a_full_queue_refuses_immediately_and_says_when_to_retry():
    async def check() -> None:
        async with batcher(echo := Echo(), max_queue=3) as made:
            held = await hold(echo, made)
            waiting = asyncio.create_task(ask(made, 1, 2, 3))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded) as refused:
                await ask(made, 4)
            assert refused.value.retry_after >= 1
            echo.gate.set()
            assert await waiting == [1, 2, 3]
            await held

    asyncio.run(check())


def test_stopping_drains_the_queue_and_admits_nothing_new():
    async def check() -> None:
        async with batcher(echo := Echo()) as made:
            held = await hold(echo, made)
            waiting = asyncio.create_task(ask(made, "waiting"))
            await asyncio.sleep(0)
            stopping = asyncio.create_task(made.stop())
            await asyncio.sleep(0)
            with pytest.raises(Unavailable):
                await ask(made, "too late")
            echo.gate.set()
            assert await waiting == ["waiting"]
            assert await held == ["held"]
            await stopping

    asyncio.run(check())


class Slow(Echo):
    """Holds each batch up in turn: `release` lets the one that runs go on."""

    def __init__(self, kind: type[Done] = Done) -> None:
        super().__init__(kind)
        self.running, self.turn = threading.Semaphore(0), threading.Semaphore(0)

    def launch(self, data: Sequence[Any], *more: Any) -> Done:
        self.running.release()
        assert self.turn.acquire(timeout=10)
        return super().launch(data, *more)

    async def runs(self) -> None:
        assert await asyncio.to_thread(self.running.acquire, timeout=10)

    def release(self) -> None:
        self.turn.release()


@pytest.mark.parametrize("kind", [Done, Late])
def test_a_request_cancelled_while_its_batch_runs_leaves_the_others_their_answers(kind: type[Done]):
    async def check() -> None:
        async with batcher(echo := Slow(kind)) as made:
            first = asyncio.create_task(ask(made, "first"))
            await echo.runs()
            before, gone, after = (asyncio.create_task(ask(made, name)) for name in ("before", "gone", "after"))
            await asyncio.sleep(0)
            echo.release()
            await echo.runs()
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            echo.release()
            assert await asyncio.wait_for(asyncio.gather(first, before, after), 10) == [
                ["first"],
                ["before"],
                ["after"],
            ]
            assert echo.batches == [["first"], ["before", "gone", "after"]]

    asyncio.run(check())


class Watching:
    """Keeps the orders of every batch, and what was told of it."""

    def __init__(self) -> None:
        self.orders: list[list[Any]] = []
        self.told: list[tuple[int, list[float], float]] = []

    def batch(self, batch: Batch, units: int, queue_s: Sequence[float], seconds: float) -> None:
        self.orders.append([ticket.owner for ticket in batch.tickets])
        self.told.append((units, list(queue_s), seconds))


def test_each_request_is_told_its_share_of_the_device_and_how_long_it_waited():
    now = 0.0

    async def check() -> None:
        nonlocal now
        echo, seen = Slow(), Watching()
        cost = Cost(0.001, 0.001, packed=True, limit=64, max_seconds=10.0)
        scheduler = Scheduler({"m": cost}, max_queue=100, max_wait_s=60.0)
        made = Batcher({"m": echo}, scheduler, seen, clock=lambda: now)
        made.start()
        first = asyncio.create_task(ask(made, "first"))
        await echo.runs()
        one = asyncio.create_task(ask(made, "a"))
        three = asyncio.create_task(ask(made, "b", "c", "d"))
        await asyncio.sleep(0)
        now = 5.0
        echo.release()
        await echo.runs()
        now = 8.0
        echo.release()
        assert await asyncio.gather(first, one, three) == [["first"], ["a"], ["b", "c", "d"]]
        await made.stop()
        assert seen.told == [(1, [0.0], 5.0), (4, [5.0] * 4, 3.0)]
        small, large = seen.orders[1][0], seen.orders[1][1]
        assert (small.device_s, small.batch_s, small.queue_s) == (0.75, 3.0, 5.0)
        assert (large.device_s, large.batch_s, large.queue_s) == (2.25, 3.0, 5.0)
        assert seen.orders[0][0].device_s == 5.0
        assert cost.seconds(1) > 0.002, "what the batches took is learnt"

    asyncio.run(check())


@pytest.mark.parametrize(("seconds", "retry_after"), [(0.1, 1), (2.5, 3), (61.0, 60)])
def test_who_is_refused_is_told_when_the_queue_will_be_shorter(seconds: float, retry_after: int):
    async def check() -> None:
        echo = Slow()
        cost = Cost(seconds, 1e-9, packed=True, limit=64, max_seconds=1e9)
        made = Batcher({"m": echo}, Scheduler({"m": cost}, max_queue=1, max_wait_s=1e9), Silent())
        made.start()
        first = asyncio.create_task(ask(made, "first"))
        await echo.runs()
        second = asyncio.create_task(ask(made, "second"))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await ask(made, "third")
        assert refused.value.retry_after == retry_after
        with pytest.raises(Overloaded):
            made.admit(1)
        for _ in range(2):
            echo.release()
        assert await asyncio.gather(first, second) == [["first"], ["second"]]
        made.admit(1)
        await made.stop()
        with pytest.raises(Unavailable):
            made.admit(1)

    asyncio.run(check())


def test_a_request_without_instances_waits_for_nothing():
    async def check() -> None:
        async with batcher(Echo()) as made:
            assert await asyncio.wait_for(ask(made), 10) == []

    asyncio.run(check())


def test_a_deadline_that_passes_while_the_device_is_busy_is_told_when_it_is_free():
    now = 0.0

    async def check() -> None:
        nonlocal now
        echo, seen = Slow(), Watching()
        cost = Cost(0.001, 0.001, packed=True, limit=64, max_seconds=10.0)
        scheduler = Scheduler({"m": cost}, max_queue=100, max_wait_s=60.0)
        made = Batcher({"m": echo}, scheduler, seen, clock=lambda: now)
        made.start()
        first = asyncio.create_task(ask(made, "first", deadline=4.0))
        await echo.runs()
        late = asyncio.create_task(ask(made, "late", deadline=4.0))
        patient = asyncio.create_task(ask(made, "patient", deadline=5.5))
        await asyncio.sleep(0)
        now = 5.0
        echo.release()
        await echo.runs()
        echo.release()
        assert await first == ["first"]
        assert isinstance((await late)[0], DeadlineExceeded)
        assert await patient == ["patient"]
        await made.stop()
        assert echo.batches == [["first"], ["patient"]]

    asyncio.run(check())


@pytest.mark.parametrize("kind", [Done, Late])
def test_a_lost_device_fails_all_that_waits_and_ends_the_thread(kind: type[Done]):
    async def check() -> None:
        async with batcher(echo := Fragile(kind)) as made:
            held = await hold(echo, made)
            waiting = [asyncio.create_task(ask(made, *(["poison"] if n == 1 else [n] * 40))) for n in range(4)]
            await asyncio.sleep(0)
            echo.gate.set()
            assert await held == ["held"]
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(answer, Unavailable) for answer in answers[1:])
            await asyncio.to_thread(made._thread.join, 10)
            assert not made.is_alive
            order = Order(asyncio.get_running_loop().create_future(), [DEFAULTS], [None])
            ticket = Ticket("m", "late", 1, float("inf"), bulk=True, owner=order)
            with pytest.raises(Unavailable):
                await made.run(order, [ticket])

    asyncio.run(check())
