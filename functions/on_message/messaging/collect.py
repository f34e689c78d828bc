"""The collect order: pulls the notifications that wait in a subscription, and starts small uploads together.

Pub/Sub is the buffer. A message is acknowledged once its object needs it no more: the object was rejected, asks for
nothing, was taken in before, or its claim names the execution that works on it. What is broken off before is delivered
again, and finds claims that were given up, or whose lease is over.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from messaging import pubsub
from messaging.pubsub import Pulled
from pipeline import intake, logs
from pipeline.deployment import Deployment
from pipeline.errors import InProgressError, RejectedError, ThrottledError
from pipeline.inputs import messages, microbatches
from pipeline.inputs.events import Message, Receipt, now
from pipeline.intake import Reserved, Verdict
from pipeline.jobs.claims import Claims
from pipeline.jobs.job import SINGLE
from pipeline.storage import AGAIN

MAX_SECONDS = 240.0  # after which a message leaves the rest to the next: the function has 540, the order's delivery 600
MAX_PULLED = 1000  # messages of one request
CONCURRENCY = 8

DONE = ("accepted", "rejected", "ignored")
AGAIN_SOON = ("throttled", "failed")


@dataclass(slots=True)
class Taken:
    """A pulled message, and what has become of it so far."""

    pulled: Pulled
    result: Verdict | Reserved | Exception

    @property
    def word(self) -> str:
        """Under which it is counted; `running` when another handler is at work on its object."""
        if isinstance(self.result, Verdict):
            return self.result.word
        return "running" if isinstance(self.result, InProgressError) else "failed"


@dataclass(slots=True)
class Group:
    """Messages whose objects may share an execution; `size` is their objects' bytes."""

    taken: list[Taken] = field(default_factory=list)
    reserved: list[Reserved] = field(default_factory=list)
    size: int = 0

    def add(self, one: Taken, reserved: Reserved) -> None:
        self.taken.append(one)
        self.reserved.append(reserved)
        self.size += reserved.job.object_input().size


@dataclass(frozen=True, slots=True)
class Collection:
    """How many notifications to take at most; None for all that wait."""

    limit: int | None = None

    def message(self) -> dict[str, Any]:
        return {"collect": {} if self.limit is None else {"limit": self.limit}}


def parse(value: Any) -> Collection:
    """Checks `{"limit"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - {"limit"}:
        raise RejectedError("invalid_parameters", "collect must be an object with limit at most.")
    if "limit" in value and (type(value["limit"]) is not int or value["limit"] < 1):
        raise RejectedError("invalid_parameters", "collect.limit must be a whole number, 1 or more.")
    return Collection(value.get("limit"))


def run(
    deployment: Deployment, collection: Collection, receipt: Receipt, clock: Callable[[], float] = time.monotonic
) -> tuple[Verdict, Collection | None]:
    """Takes in what waits, a round at a time; running it again, or beside another, does no harm.

    Returns:
        What was counted, and the collection that goes on from there; None when nothing waits any more, the limit is
        reached, or the hour's executions are used up.

    Raises:
        Exception: what made a message fail; the others of its round have been dealt with, and it comes again.
    """
    if not deployment.settings.collect_subscription:
        return Verdict("ignored", reason="COLLECT_SUBSCRIPTION is not set"), None
    counts: Counter[str] = Counter(pulled=0)
    left, until = collection.limit, clock() + MAX_SECONDS
    following: Collection | None = None
    while left != 0 and not intake.is_throttled(deployment):
        if clock() >= until:
            following = Collection(left)
            break
        size = max(1, min(deployment.settings.micro_batch_size, MAX_PULLED, left or MAX_PULLED))
        pulled = pubsub.pull(deployment.settings.collect_subscription, size)
        counts["pulled"] += len(pulled)
        _round(deployment, pulled, receipt, counts)
        if len(pulled) < size:
            break
        left = None if left is None else left - len(pulled)
    return Verdict("accepted", reason="collect", counts=dict(counts)), following


def _round(deployment: Deployment, pulled: list[Pulled], receipt: Receipt, counts: Counter[str]) -> None:
    """Takes in the messages that were pulled together, and acknowledges those that are done with.

    What another handler is at work on is neither acknowledged nor given back: it comes again after its deadline.
    """
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        taken = list(pool.map(lambda one: Taken(one, _take(deployment, one.message)), pulled))
        for group in _groups(taken):
            results = _launched(deployment, group.reserved, receipt, pool)
            for one, result in zip(group.taken, results, strict=True):
                one.result = result
    for one in taken:
        _close(one)
    counts.update(one.word for one in taken)
    counts["executions"] += len({one.result.execution for one in taken if isinstance(one.result, Verdict)} - {None})
    subscription = deployment.settings.collect_subscription
    pubsub.acknowledge(subscription, [one.pulled.ack_id for one in taken if one.word in DONE])
    pubsub.give_back(subscription, [one.pulled.ack_id for one in taken if one.word in AGAIN_SOON])
    for one in taken:
        if one.word == "failed" and isinstance(one.result, Exception):
            raise one.result


def _take(deployment: Deployment, message: Message) -> Verdict | Reserved | Exception:
    """What becomes of one message by itself; Reserved when its object may go together with others."""
    with logs.bound(event_id=message.id):
        try:
            reserved = _reserved(deployment, message, Receipt(message.id, now()))
            if isinstance(reserved, Reserved) and reserved.job.kind not in SINGLE:
                return intake.launch(deployment, reserved)
        except Exception as error:  # noqa: BLE001 - one message's trouble is not the others'
            return error
        return reserved


def _reserved(deployment: Deployment, message: Message, receipt: Receipt) -> Verdict | Reserved:
    change = messages.change(message)
    if change and change != messages.FINALIZE:
        return Verdict("ignored", reason=change)
    try:
        named = messages.upload(deployment.settings, message)
    except RejectedError as reason:
        return intake.refuse(deployment, messages.job_of(message, receipt), reason)
    return intake.reserve(deployment, named, receipt)


def _groups(taken: list[Taken]) -> list[Group]:
    """Those that ask for the same, as many as a micro-batch may have bytes."""
    groups: list[Group] = []
    open_groups: dict[str, Group] = {}
    for one in taken:
        if not isinstance(one.result, Reserved):
            continue
        job = one.result.job
        asked = json.dumps([job.kind, job.model, job.parameters], sort_keys=True)
        group = open_groups.get(asked)
        if group is None or group.size + job.object_input().size > microbatches.MAX_BYTES:
            group = open_groups[asked] = Group()
            groups.append(group)
        group.add(one, one.result)
    return groups


def _launched(
    deployment: Deployment, group: list[Reserved], receipt: Receipt, pool: ThreadPoolExecutor
) -> Sequence[Verdict | Exception]:
    """Starts one execution for all, and has every claim name it."""
    claims = Claims(deployment.work, deployment.settings.claim_lease)
    members = [reserved.job for reserved in group]
    try:
        if len(group) == 1:
            return [intake.launch(deployment, group[0])]
        with intake.releasing(claims, *(reserved.claim for reserved in group)):
            execution = intake.execute(deployment, microbatches.write(deployment.work, members, receipt))
    except ThrottledError:
        return [intake.throttled(job) for job in members]
    except Exception as error:  # noqa: BLE001 - the others of the round go on
        return [error for _ in group]
    list(pool.map(lambda reserved: _confirm(claims, reserved, execution), group))
    return [Verdict("accepted", job.id, job.document, job.kind, execution) for job in members]


def _confirm(claims: Claims, reserved: Reserved, execution: str) -> None:
    with logs.bound(job=reserved.job.id):
        claims.confirm(reserved.claim, execution)


def _close(one: Taken) -> None:
    """Logs the message's closing line."""
    result = one.result
    with logs.bound(event_id=one.pulled.message.id):
        if isinstance(result, Verdict):
            logs.log(logging.WARNING if result.word == "throttled" else logging.INFO, result.word, **result.fields())
        elif isinstance(result, InProgressError):
            logs.warning("failed", code=result.code, reason=str(result))
        elif isinstance(result, Exception):
            logs.exception("failed", result, code="unavailable" if isinstance(result, AGAIN) else "internal")
