"""A request's instances while they are in the batcher, and the batches that ran them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpu_service.parameters import Parameters


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A batch that ran: it was sent at `began`, and occupied the device for `seconds` until `ended`."""

    model: str
    rows: int
    units: int
    began: float
    ended: float
    seconds: float


@dataclass(slots=True, eq=False)
class Order:
    """The instances of one request: batches fill `outcomes` with rows or errors, then `done` is set.

    `runs`, unless None, collects the batches that it was part of, each with the time when its rows were delivered.
    """

    done: asyncio.Future[None]
    parameters: Sequence[Parameters | None]  # of each instance; None for one that cannot run
    outcomes: list[Any]
    left: int = 0
    runs: list[tuple[Run, float]] | None = None
    arrived: float = 0.0
    queue_s: float = 0.0
    device_s: float = 0.0
    batch_s: float = 0.0
