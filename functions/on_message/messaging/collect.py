"""Collects small uploads: starts those together that have waited long enough, then those whose notifications wait.

The notifications wait in a subscription of Pub/Sub. A message is acknowledged when its object needs it no longer: the
object was rejected, is not an input, was taken in before, waits by its claim, or its claim names its execution. A
message whose handling is interrupted is delivered again, and finds its object's claim released or expired. Messages are
acknowledged as soon as they are done, so that a collection which is interrupted again and again still gets on.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from messaging import engines, lanes, orders, pubsub, runs, together
from messaging.lanes import Lanes
from messaging.orders import Collection
from messaging.pubsub import Leases, Pulled
from pipeline import intake, logs, times, waiting
from pipeline.deployment import Deployment
from pipeline.errors import InProgressError, RejectedError
from pipeline.inputs import microbatches
from pipeline.inputs.events import Message, Receipt
from pipeline.inputs.pubsub import messages, redeliveries
from pipeline.intake import Reserved
from pipeline.jobs import executions, outcomes
from pipeline.jobs.job import on_endpoint
from pipeline.kinds import SINGLE
from pipeline.routing import regions
from pipeline.settings import Settings
from pipeline.storage import UNAVAILABLE, failure_code
from pipeline.times import timestamp
from pipeline.verdicts import Verdict
from pipeline.waiting import Note

MAX_SECONDS = 240.0  # before a new message continues: the function may take 540 s, the delivery of its message 600 s
CONCURRENCY = 8
PART = 100  # messages that are taken in before those that are done are acknowledged

DONE = ("accepted", "rejected", "ignored")
AGAIN_SOON = ("throttled", "failed")


@dataclass(slots=True)
class Taken:
    """A pulled message and the result of handling it so far."""

    pulled: Pulled
    result: Verdict | Reserved | Exception

    @property
    def word(self) -> str:
        """The name of its count; `running` if another handler has claimed its object."""
        if isinstance(self.result, Verdict):
            return self.result.word
        return "running" if isinstance(self.result, InProgressError) else "failed"


@dataclass(slots=True)
class Group:
    """Messages whose objects may share an execution; `size` is the objects' bytes together."""

    taken: list[Taken] = field(default_factory=list)
    reserved: list[Reserved] = field(default_factory=list)
    size: int = 0

    def add(self, taken: Taken, reserved: Reserved) -> None:
        self.taken.append(taken)
        self.reserved.append(reserved)
        self.size += reserved.job.object_input().size


@dataclass(slots=True)
class Progress:
    """What a collection holds and has done so far; `rate` as for `engines.cheaper`, None until it is needed."""

    deployment: Deployment
    order: Collection
    receipt: Receipt
    pool: ThreadPoolExecutor
    held: Lanes
    clock: Callable[[], float]
    rate: float | None = None
    counts: Counter[str] = field(default_factory=lambda: Counter(pulled=0, executions=0))
    failures: list[Exception] = field(default_factory=list)


def run(
    deployment: Deployment,
    order: Collection,
    receipt: Receipt,
    publish: Callable[[dict[str, Any]], object] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Verdict, Collection | None]:
    """Starts or accepts what waits; safe to repeat and to run concurrently.

    Args:
        publish: publishes an order for one more collection; None if there cannot be one.

    Returns:
        The counts, and the order that continues this collection, as `orders.steps`.

    Raises:
        Exception: the failure of one message, which is redelivered, or of one input that waited, which the next
            collection repeats; the others are handled.
    """
    settings, deadline = deployment.settings, clock() + MAX_SECONDS
    pull_size = max(1, settings.micro_batch_size) if settings.collect_subscription else 0
    steps = orders.steps(order, pull_size, times.utc_now, lambda: _most(settings), lambda: clock() >= deadline)
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        held = Lanes(deployment.work, settings.max_collections, lanes.lease(settings), owner=order.owner)
        progress = Progress(deployment, order, receipt, pool, held, clock)
        following = None
        try:
            if order.owner:
                held.take()
            following = _carry_out(progress, steps, publish)
        finally:
            if following is None:
                held.release()
    for failure in progress.failures:
        raise failure
    return Verdict("accepted", reason="collect", counts=dict(progress.counts)), following


def _most(settings: Settings) -> int:
    """How many inputs may be started together."""
    if executions.is_throttled(settings):
        return 0
    return orders.most(regions.circuits(settings), times.utc_now())


def _carry_out(
    progress: Progress,
    steps: Generator[orders.Step, Any, Collection | None],
    publish: Callable[[dict[str, Any]], object] | None,
) -> Collection | None:
    """Carries out the steps of a collection, and returns the order that continues it."""
    deployment, held = progress.deployment, progress.held
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            following: Collection | None = end.value
            return following and replace(following, owner=held.owner if held.held else None)
        held.renew()
        match step:
            case orders.Look():
                answer = runs.look(deployment, held, times.utc_now())
            case orders.Start(notes):
                answer = _start(progress, notes)
            case orders.Pull(size):
                subscription, waits = deployment.settings.collect_subscription, progress.order.wait_for_uploads
                pulled = pubsub.pull(subscription, size, waits=waits)
                _run_round(progress, pulled)
                answer = len(pulled)
            case orders.Share():
                answer = _share(held, publish)


def _start(progress: Progress, notes: Sequence[Note]) -> int:
    if progress.rate is None:
        progress.rate = engines.rate(progress.deployment.settings, times.utc_now())
    settled, failures = runs.start(
        progress.deployment, notes, progress.rate, progress.receipt, progress.counts, progress.pool
    )
    progress.failures += failures
    return settled


def _share(held: Lanes, publish: Callable[[dict[str, Any]], object] | None) -> bool:
    """Has one more collection take half of the lanes; whether this one holds any."""
    held.take()
    if publish and (owner := held.share()):
        publish(Collection(owner=owner).message())
    return bool(held.held)


def _run_round(progress: Progress, pulled: Sequence[Pulled]) -> None:
    """Accepts the objects of messages pulled together, and acknowledges each message once it is done.

    A message whose object another handler has claimed is left until its deadline, which redelivers it.
    """
    deployment, counts = progress.deployment, progress.counts
    counts["pulled"] += len(pulled)
    leases = Leases(deployment.settings.collect_subscription, pulled, progress.clock)
    round_: list[Taken] = []
    failures: list[Exception] = []
    for begin in range(0, len(pulled), PART):
        leases.renew()
        part = pulled[begin : begin + PART]
        taken = list(progress.pool.map(lambda one: Taken(one, _take_in(deployment, one.message)), part))
        failures += _finish(leases, [one for one in taken if not isinstance(one.result, Reserved)])
        round_ += taken
    for group in _groups(round_):
        leases.renew()
        results = together.launch(deployment, group.reserved, progress.receipt, progress.pool)
        for one, result in zip(group.taken, results, strict=True):
            one.result = result
        failures += _finish(leases, group.taken)
    counts.update(one.word for one in round_)
    counts["executions"] += len({one.result.execution for one in round_ if isinstance(one.result, Verdict)} - {None})
    for failure in failures:
        raise failure


def _finish(leases: Leases, decided: Sequence[Taken]) -> list[Exception]:
    """Logs the messages' results; acknowledges those that are done, and returns those that another try may help.

    Returns:
        What failed: handling a message, or one of these two requests. The round's other messages go on.
    """
    for taken in decided:
        _log(taken)
    failures = [one.result for one in decided if one.word == "failed" and isinstance(one.result, Exception)]
    try:
        leases.acknowledge([taken.pulled for taken in decided if taken.word in DONE])
        leases.give_back([taken.pulled for taken in decided if taken.word in AGAIN_SOON])
    except UNAVAILABLE as error:
        failures.append(error)
    return failures


def _take_in(deployment: Deployment, message: Message) -> Verdict | Reserved | Exception:
    """The result for one message by itself; Reserved if its object may share an execution."""
    with logs.bound(event_id=message.id):
        try:
            reserved = _reserve(deployment, message, Receipt(message.id, timestamp()))
            if isinstance(reserved, Reserved) and intake.may_wait(reserved.job):
                return intake.wait(deployment, reserved)
            if isinstance(reserved, Reserved) and reserved.job.is_beyond_share:
                return intake.launch(deployment, reserved)
            if isinstance(reserved, Reserved) and (reserved.job.kind not in SINGLE or on_endpoint(reserved.job.model)):
                return intake.launch(deployment, reserved)
        except Exception as error:  # noqa: BLE001 - the round's other messages go on
            return error
        return reserved


def _reserve(deployment: Deployment, message: Message, receipt: Receipt) -> Verdict | Reserved:
    event_type = messages.event_type(message)
    if event_type and event_type != messages.FINALIZE:
        return Verdict("ignored", reason=event_type)
    try:
        upload = messages.upload(deployment.settings, message)
    except RejectedError as reason:
        redeliveries.note(deployment.output, message)
        return outcomes.reject(deployment, messages.job(message, receipt), reason)
    return intake.reserve(deployment, upload, receipt)


def _groups(round_: list[Taken]) -> list[Group]:
    """The reserved objects by kind, version of a model and parameters, up to the bytes of a micro-batch each."""
    groups: list[Group] = []
    open_groups: dict[str, Group] = {}
    for taken in round_:
        if not isinstance(taken.result, Reserved):
            continue
        job = taken.result.job
        key = waiting.group(job)
        group = open_groups.get(key)
        if group is None or group.size + job.object_input().size > microbatches.MAX_BYTES:
            group = open_groups[key] = Group()
            groups.append(group)
        group.add(taken, taken.result)
    return groups


def _log(taken: Taken) -> None:
    """Logs the message's closing line."""
    result = taken.result
    with logs.bound(event_id=taken.pulled.message.id):
        if isinstance(result, Verdict):
            logs.log(logging.WARNING if result.word == "throttled" else logging.INFO, result.word, **result.fields())
        elif isinstance(result, InProgressError):
            logs.warning("failed", code=result.code, reason=result.message)
        elif isinstance(result, Exception):
            logs.exception("failed", result, code=failure_code(result))
