"""Orders to collect, and what a collection does next: its steps are decided here and carried out by the caller.

A collection starts the runs of the inputs that wait in its lanes, then takes in the notifications that wait. After each
full run or pull it shares its lanes with one more collection: their number doubles for as long as there is more to do
than they do. While no region of the GPU service answers, nothing is started but, now and then, one input that tries
again; then the number begins with one.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from messaging import runs
from pipeline.errors import RejectedError
from pipeline.routing.regions import Circuit
from pipeline.times import Clock
from pipeline.waiting import Note

MAX_PULLED = 1000  # messages per request


@dataclass(frozen=True, slots=True)
class Collection:
    """An order to collect up to `limit` notifications, None for all that wait.

    `owner` is the one under which another collection has left it lanes. `wait_for_uploads` is whether to wait for the
    first notification, which takes two seconds where none can come.
    """

    limit: int | None = None
    owner: str | None = None
    wait_for_uploads: bool = True

    def message(self) -> dict[str, Any]:
        fields = {
            "limit": self.limit,
            "owner": self.owner,
            "wait_for_uploads": None if self.wait_for_uploads else False,
        }
        return {"collect": {name: value for name, value in fields.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Look:
    """List the inputs that wait in the collection's lanes. The answer: their notes."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a run. The answer: how many of its inputs no longer wait."""

    notes: Sequence[Note]


@dataclass(frozen=True, slots=True)
class Pull:
    """Take in up to `size` notifications. The answer: how many there were."""

    size: int


@dataclass(frozen=True, slots=True)
class Share:
    """Share the lanes with one more collection. The answer: whether this one holds any."""


Step = Look | Start | Pull | Share


def most(circuits: Sequence[Circuit], now: datetime) -> int:
    """How many inputs may be started together: one, while no region of the GPU service answers, when one may be tried.

    Args:
        circuits: of all regions; none if the deployment does not name them.
    """
    if not circuits or any(circuit.state == "closed" for circuit in circuits):
        return runs.MAX_MEMBERS
    return int(any(circuit.is_due(now) for circuit in circuits))


def parse(value: object) -> Collection:
    """Checks `{"limit"?, "owner"?, "wait_for_uploads"?}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict) or value.keys() - {"limit", "owner", "wait_for_uploads"}:
        raise RejectedError(
            "invalid_parameters", "collect must be an object with no fields but limit, owner and wait_for_uploads."
        )
    if "limit" in value and (type(value["limit"]) is not int or value["limit"] < 1):
        raise RejectedError("invalid_parameters", "collect.limit must be a whole number, 1 or more.")
    if not isinstance(value.get("owner", ""), str):
        raise RejectedError("invalid_parameters", "collect.owner must be a string.")
    waits = value.get("wait_for_uploads", True)
    if not isinstance(waits, bool):
        raise RejectedError("invalid_parameters", "collect.wait_for_uploads must be true or false.")
    return Collection(value.get("limit"), value.get("owner"), waits)


def steps(
    order: Collection, pull_size: int, clock: Clock, most: Callable[[], int], is_over: Callable[[], bool]
) -> Generator[Step, Any, Collection | None]:
    """What a collection does, step by step.

    Args:
        pull_size: how many notifications share an execution at most; 0 if none are to be pulled.
        most: how many inputs may be started together now; 0 if none. If fewer than a full run, nothing else follows.
        is_over: whether the collection has taken so long that another order must continue it.

    Returns:
        The order that continues it; None when nothing waits, the limit is reached, or nothing may be started.
    """
    if not (yield from _start_runs(clock, most, is_over)):
        return order
    remaining = order.limit
    while pull_size and remaining != 0 and (allowed := most()):
        if is_over():
            return replace(order, limit=remaining)
        size = min(pull_size, MAX_PULLED, allowed, remaining or MAX_PULLED)
        pulled = yield Pull(size)
        if pulled < size or allowed < runs.MAX_MEMBERS:
            return None
        if remaining is None:
            if not (yield Share()):
                return None
        else:
            remaining -= pulled
    return None


def _start_runs(clock: Clock, most: Callable[[], int], is_over: Callable[[], bool]) -> Generator[Step, Any, bool]:
    """Starts what is due; whether nothing is left for a following order."""
    while most():
        notes = yield Look()
        for run in runs.plan(notes, clock()):
            allowed = most()
            if not allowed:
                return True
            if is_over():
                return False
            decided = yield Start(run[:allowed])
            if allowed < runs.MAX_MEMBERS:
                return True
            if len(run) < runs.MAX_MEMBERS:
                continue
            if not decided:  # to list the same again would not help
                return True
            if not (yield Share()):
                return True
            break  # to list what is left, in lanes that may be fewer
        else:
            return True
    return True
