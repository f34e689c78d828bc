"""Closed-loop, open-loop and burst load on one server, every answer checked against the reference prediction."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from benchmarks.serving.connection import Connection, Response, request_bytes
from benchmarks.serving.models import Reference
from benchmarks.serving.peers import Wire

OK, WRONG, REFUSED, TIMEOUT = "ok", "wrong", "refused", "timeout"  # any other outcome names an error
HOST = "127.0.0.1"
IDLE_SECONDS = 2.0  # a server may close a connection that was idle for longer: open a new one instead


class Summary(TypedDict):
    """Many requests: correct answers per second, their latency, and the number of each outcome."""

    per_second: float
    latency_ms: dict[str, float] | None  # p50, p95, p99
    outcomes: dict[str, int]


@dataclass(frozen=True)
class Sample:
    """A request: when it was due, when it ended (seconds of the same clock), and its outcome."""

    due: float
    ended: float
    outcome: str


class Target:
    """A server at a port, with every text as a ready request; `check` judges its answers."""

    def __init__(self, port: int, wire: Wire, references: Sequence[Reference]) -> None:
        self.port, self.wire, self.references = port, wire, references
        host = f"{HOST}:{port}"
        self.requests = [request_bytes(wire.path, wire.encode(each["text"]), host) for each in references]

    def connect(self) -> Connection:
        return Connection(HOST, self.port)

    def order(self, seed: int) -> Iterator[int]:
        """An endless sequence of text numbers, the same for every server."""
        return itertools.cycle(random.Random(seed).sample(range(len(self.references)), len(self.references)))

    async def ask(self, connection: Connection, number: int, timeout: float) -> tuple[str, Response | None]:
        try:
            async with asyncio.timeout(timeout):
                response = await connection.post(self.requests[number])
        except TimeoutError:
            return TIMEOUT, None
        except OSError as error:
            return f"{type(error).__name__}", None
        return self.outcome(number, response), response

    def outcome(self, number: int, response: Response) -> str:
        if response.status in (429, 503):
            return REFUSED
        if response.status != 200:
            return f"status {response.status}"
        return OK if self.correct(number, response.body) else WRONG

    def correct(self, number: int, body: bytes) -> bool:
        expected = self.references[number]
        try:
            label, score = self.wire.decode(body)
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        tied = expected["score"] - 0.5 < self.wire.tolerance  # two classes: either label is right
        return (label == expected["label"] or tied) and abs(score - expected["score"]) < self.wire.tolerance


async def closed_loop(target: Target, clients: int, seconds: float, timeout: float = 120.0) -> list[Sample]:
    """Each client sends a request after each response, for `seconds`, and waits for the last response."""
    order = target.order(seed=clients)
    samples: list[Sample] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        connection = target.connect()
        while (due := time.perf_counter()) < end:
            outcome, response = await target.ask(connection, next(order), timeout)
            samples.append(Sample(due, time.perf_counter(), outcome))
            if outcome != OK:
                await asyncio.sleep((response and response.retry_after) or 0.1)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return samples


async def open_loop(target: Target, rate: float, seconds: float, timeout: float = 120.0) -> list[Sample]:
    """Requests at random times (Poisson), `rate` a second on average, whether or not earlier ones were answered."""
    rng, order = random.Random(1), target.order(seed=1)
    idle: list[Connection] = []
    samples: list[Sample] = []

    async def request(due: float, number: int) -> None:
        connection = take(idle) or target.connect()
        outcome, _ = await target.ask(connection, number, timeout)
        samples.append(Sample(due, time.perf_counter(), outcome))
        idle.append(connection)

    due = time.perf_counter()
    end = due + seconds
    async with asyncio.TaskGroup() as group:
        while (due := due + rng.expovariate(rate)) < end:
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(request(due, next(order)))
    for connection in idle:
        connection.close()
    return samples


def take(idle: list[Connection]) -> Connection | None:
    """The most recently used connection, unless it has been idle for long."""
    if not idle:
        return None
    connection = idle.pop()
    if time.monotonic() - connection.last_used > IDLE_SECONDS:
        connection.close()
    return connection


async def burst(
    target: Target, count: int, timeout: float, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> list[Sample]:
    """`count` concurrent requests, each on its own connection; `meanwhile` runs while they are in flight."""
    order = target.order(seed=count)
    began = time.perf_counter()

    async def request(number: int) -> Sample:
        connection = target.connect()
        outcome, _ = await target.ask(connection, number, timeout)
        connection.close()
        return Sample(began, time.perf_counter(), outcome)

    requests = [asyncio.create_task(request(next(order))) for _ in range(count)]
    if meanwhile:
        await meanwhile()
    return await asyncio.gather(*requests)


def summary(samples: Sequence[Sample], begin: float, end: float) -> Summary:
    """Throughput between two times, latency of the requests due between them, and the outcomes of all."""
    return {
        "per_second": round(throughput(samples, begin, end), 2),
        "latency_ms": latencies_ms([sample for sample in samples if begin <= sample.due <= end]),
        "outcomes": outcomes(samples),
    }


def outcomes(samples: Sequence[Sample]) -> dict[str, int]:
    return dict(Counter(sample.outcome for sample in samples).most_common())


def throughput(samples: Sequence[Sample], begin: float, end: float) -> float:
    """Correct answers per second between two times.

    Answers of a batch come together, so the rate is counted from the last answer before `begin` to the last one before
    `end`: whole batches over the time that they took. A silence before `end` longer than two such batches is a stall,
    and its time counts.
    """
    times = sorted(sample.ended for sample in samples if sample.outcome == OK)
    start = max((each for each in times if each <= begin), default=begin)
    inside = [each for each in times if start < each <= end]
    if not inside:
        return 0.0
    longest_gap = max(later - earlier for earlier, later in itertools.pairwise([start, *inside]))
    stalled = end - inside[-1] > 2 * longest_gap
    return len(inside) / ((end if stalled else inside[-1]) - start)


def latencies_ms(samples: Sequence[Sample]) -> dict[str, float] | None:
    """p50, p95 and p99 of the correct answers; None when there are none."""
    times = sorted(1000 * (sample.ended - sample.due) for sample in samples if sample.outcome == OK)
    if not times:
        return None
    return {f"p{share}": round(times[min(len(times) - 1, len(times) * share // 100)], 2) for share in (50, 95, 99)}
