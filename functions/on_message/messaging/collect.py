"""Collects small uploads: starts those together that have waited long enough, then those whose notifications wait.

The notifications wait in a subscription of Pub/Sub. A message is acknowledged when its object needs it no longer: the
object was rejected, is not an input, was taken in before, waits by its claim, or its claim names its execution. A
message whose handling is interrupted is delivered again, and finds its object's claim released or expired.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from messaging import pubsub, runs, together
from messaging.pubsub import Pulled
from pipeline import intake, logs, waiting
from pipeline.deployment import Deployment
from pipeline.errors import InProgressError, RejectedError
from pipeline.inputs import microbatches
from pipeline.inputs.events import Message, Receipt
from pipeline.inputs.pubsub import messages, redeliveries
from pipeline.intake import Reserved
from pipeline.jobs import executions, outcomes
from pipeline.jobs.job import on_endpoint
from pipeline.kinds import SINGLE
from pipeline.storage import failure_code
from pipeline.times import timestamp
from pipeline.verdicts import Verdict

MAX_SECONDS = 240.0  # before a new message continues: the function may take 540 s, the delivery of its message 600 s
MAX_PULLED = 1000  # messages per request
CONCURRENCY = 8

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


@dataclass(frozen=True, slots=True)
class Collection:
    """A command to collect up to `limit` notifications; None for all that wait.

    `wait_for_uploads` is whether to wait for the first one, which takes two seconds where none can come.
    """

    limit: int | None = None
    wait_for_uploads: bool = True

    def message(self) -> dict[str, Any]:
        order: dict[str, Any] = {} if self.limit is None else {"limit": self.limit}
        return {"collect": order if self.wait_for_uploads else {**order, "wait_for_uploads": False}}


def parse(value: object) -> Collection:
    """Checks `{"limit"?, "wait_for_uploads"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - {"limit", "wait_for_uploads"}:
        raise RejectedError(
            "invalid_parameters", "collect must be an object without fields other than limit and wait_for_uploads."
        )
    waits = value.get("wait_for_uploads", True)
    if not isinstance(waits, bool):
        raise RejectedError("invalid_parameters", "collect.wait_for_uploads must be true or false.")
    if "limit" in value and (type(value["limit"]) is not int or value["limit"] < 1):
        raise RejectedError("invalid_parameters", "collect.limit must be a whole number, 1 or more.")
    return Collection(value.get("limit"), waits)


def run(
    deployment: Deployment, collection: Collection, receipt: Receipt, clock: Callable[[], float] = time.monotonic
) -> tuple[Verdict, Collection | None]:
    """Accepts the waiting objects in rounds; safe to repeat and to run concurrently.

    Returns:
        The counts, and the collection that continues this one; None when nothing waits, or the limit or the hour's
        executions are used up.

    Raises:
        Exception: the failure of one message, which is redelivered, or of one input that waited, which the next
            collection repeats; the others are handled.
    """
    settings = deployment.settings
    counts: Counter[str] = Counter(pulled=0, executions=0)
    remaining, deadline = collection.limit, clock() + MAX_SECONDS
    following: Collection | None = None
    finished, failures = runs.start(deployment, receipt, counts, lambda: clock() >= deadline)
    if not finished:
        following = collection
    is_pulling = finished and bool(settings.collect_subscription)
    while is_pulling and remaining != 0 and not executions.is_throttled(settings):
        if clock() >= deadline:
            following = replace(collection, limit=remaining)
            break
        size = max(1, min(settings.micro_batch_size, MAX_PULLED, remaining or MAX_PULLED))
        pulled = pubsub.pull(settings.collect_subscription, size, waits=collection.wait_for_uploads)
        counts["pulled"] += len(pulled)
        _run_round(deployment, pulled, receipt, counts)
        if len(pulled) < size:
            break
        remaining = None if remaining is None else remaining - len(pulled)
    for failure in failures:
        raise failure
    return Verdict("accepted", reason="collect", counts=dict(counts)), following


def _run_round(deployment: Deployment, pulled: list[Pulled], receipt: Receipt, counts: Counter[str]) -> None:
    """Accepts the objects of messages pulled together, and acknowledges the messages that are done.

    A message whose object another handler has claimed is left until its deadline, which redelivers it.
    """
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        round_ = list(pool.map(lambda one: Taken(one, _take_in(deployment, one.message)), pulled))
        for group in _groups(round_):
            results = together.launch(deployment, group.reserved, receipt, pool)
            for taken, result in zip(group.taken, results, strict=True):
                taken.result = result
    for taken in round_:
        _log(taken)
    counts.update(taken.word for taken in round_)
    counts["executions"] += len({one.result.execution for one in round_ if isinstance(one.result, Verdict)} - {None})
    subscription = deployment.settings.collect_subscription
    pubsub.acknowledge(subscription, [taken.pulled.ack_id for taken in round_ if taken.word in DONE])
    pubsub.give_back(subscription, [taken.pulled.ack_id for taken in round_ if taken.word in AGAIN_SOON])
    for taken in round_:
        if taken.word == "failed" and isinstance(taken.result, Exception):
            raise taken.result


def _take_in(deployment: Deployment, message: Message) -> Verdict | Reserved | Exception:
    """The result for one message by itself; Reserved if its object may share an execution."""
    with logs.bound(event_id=message.id):
        try:
            reserved = _reserve(deployment, message, Receipt(message.id, timestamp()))
            if isinstance(reserved, Reserved) and intake.may_wait(reserved.job):
                return intake.wait(deployment, reserved)
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
