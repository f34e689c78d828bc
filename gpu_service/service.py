"""Predicts: from a request's instances through inputs, batcher and labels to an answer."""

import asyncio
import math
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from gpu_service import protocol
from gpu_service.batching.batcher import Batcher, Order
from gpu_service.batching.scheduler import Ticket
from gpu_service.checkpoints.registry import Entry, Registry
from gpu_service.inputs import encoding
from gpu_service.inputs.payloads import Payload
from gpu_service.inputs.text import FEW_CHARACTERS
from gpu_service.serving_model.model import Model, Row

from .errors import InferenceFailed, InstanceError, ModelNotFound, ServiceError
from .protocol import Modelled, Timing
from .storage import Storage

FEW_IMAGES = 4  # decoded one after another in a thread
FETCHERS = 16  # objects read at once

Prepared = tuple[Model, Payload] | ServiceError


@dataclass(frozen=True, slots=True)
class Outcome:
    """Predictions, or errors in their place, and what they took; `model` is that of the first."""

    predictions: list[dict[str, Any]]
    model: Model
    timing: Timing
    order: Order


class Service:
    """The served models behind one batcher."""

    def __init__(
        self,
        registry: Registry,
        models: Mapping[str, Model],
        batcher: Batcher,
        storage: Storage,
        *,
        deadline_s: float,
        revision: str,
    ) -> None:
        self.registry = registry
        self.models = models
        self.batcher = batcher
        self.storage = storage
        self.deadline_s = deadline_s
        self.revision = revision
        self.shards = 0
        self.is_traced = False
        self.pool = ThreadPoolExecutor(min(8, max(2, os.cpu_count() or 2)), "inputs")
        self.fetchers = ThreadPoolExecutor(FETCHERS, "fetch")

    def select(self, name: str | None, version: str | int | None) -> Model | None:
        """The model asked for; None when each instance's default is meant. Raises ModelNotFound."""
        if name is None:
            return None
        return self._of(self.registry.find(name, None if version is None else str(version)))

    def default(self, kind: str) -> Model:
        """Raises ModelNotFound."""
        return self._of(self.registry.default(protocol.KINDS[kind]))

    @property
    def defaults(self) -> list[str]:
        """The keys of the models that serve when none is named."""
        return sorted({self._of(self.registry.default(entry.task)).key for entry in self.registry.entries})

    async def predict(self, instances: Sequence[Any], model: Model | None, top: int) -> Outcome:
        """One prediction or error for each instance, in order.

        Raises:
            ServiceError: the request fails as a whole: overloaded, stopping, or no model for any instance.
        """
        if _is_light(instances):
            prepared = self._all_prepared(instances, model)
        else:
            self.batcher.admit(len(instances))  # before the work, rather than after it
            prepared = await self.prepare(instances, model)
        if all(isinstance(item, ModelNotFound) for item in prepared):
            raise prepared[0]  # type: ignore[misc]
        order = await self.run(prepared, top)
        predictions = [prediction(item, row, top) for item, row in zip(prepared, order.outcomes, strict=True)]
        timing = Timing(
            queue_ms=round(1000 * max(0.0, order.queue_s), 3),
            inference_ms=round(1000 * order.batch_s, 3),
            gpu_seconds=round(order.device_s, 6),
        )
        return Outcome(predictions, model or used(prepared) or self.any(), timing, order)

    async def prepare(self, instances: Sequence[Any], model: Model | None) -> list[Prepared]:
        """What a model reads of each instance, or its error, made in threads.

        Texts go together in one thread: they hold the interpreter's lock all the while, and more threads that want it
        only keep it from the device's.
        """
        loop = asyncio.get_running_loop()
        groups = _groups(instances)
        parts = await asyncio.gather(
            *(
                loop.run_in_executor(
                    self.fetchers if group.fetched else self.pool,
                    self._all_prepared,
                    [instances[index] for index in group.indices],
                    model,
                )
                for group in groups
            )
        )
        prepared: list[Any] = [None] * len(instances)
        for group, part in zip(groups, parts, strict=True):
            for index, item in zip(group.indices, part, strict=True):
                prepared[index] = item
        return prepared

    async def run(self, prepared: Sequence[Prepared], top: int, *, bulk: bool = False) -> Order:
        """The order with all its outcomes. Raises Overloaded or Unavailable, unless it is bulk work."""
        order, tickets = self._order(prepared, top, bulk=bulk)
        await self.batcher.run(order, tickets)
        return order

    def modelled(self, model: Model) -> Modelled:
        return Modelled(**model.describe())

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.fetchers.shutdown(wait=False, cancel_futures=True)

    def _of(self, entry: Entry) -> Model:
        return self.models[f"{entry.name}@{entry.version}"]

    def any(self) -> Model:
        """One to name where none ran."""
        return next(iter(self.models.values()))

    def _order(self, prepared: Sequence[Prepared], top: int, *, bulk: bool) -> tuple[Order, list[Ticket]]:
        order = Order(asyncio.get_running_loop().create_future(), top, list(prepared), 0)
        order.runs = [] if self.is_traced and not bulk else None
        deadline = math.inf if bulk else time.monotonic() + self.deadline_s
        tickets = [
            Ticket(item[0].key, item[1].data, item[1].size, deadline, bulk, order, index)
            for index, item in enumerate(prepared)
            if isinstance(item, tuple)
        ]
        if bulk:
            tickets.sort(key=_size)  # neighbours make batches with little padding, and few lengths
        order.left = len(tickets)
        return order, tickets

    def _all_prepared(self, values: Sequence[Any], model: Model | None) -> list[Prepared]:
        """The contents are read one by one, and made ready together by each model's inputs."""
        prepared: list[Any] = [self._content(value, model) for value in values]
        indices: dict[str, list[int]] = {}
        for index, item in enumerate(prepared):
            if isinstance(item, tuple):
                indices.setdefault(item[0].key, []).append(index)
        for found in indices.values():
            chosen = prepared[found[0]][0]
            payloads = chosen.inputs.payloads([prepared[index][1] for index in found])
            for index, payload in zip(found, payloads, strict=True):
                prepared[index] = (chosen, payload) if isinstance(payload, Payload) else payload
        return prepared

    def _content(self, value: object, model: Model | None) -> tuple[Model, Any] | ServiceError:
        try:
            kind, content = protocol.instance(value)
            if kind == "uri":
                kind, content = self._fetched(content, model)
            elif kind == "image":
                content = protocol.image_bytes(content)
            chosen = model or self.default(kind)
            if chosen.inputs.kind != kind:
                raise InstanceError(f"The model {chosen.entry.name} reads no {kind}.", "wrong_kind")
        except ServiceError as error:
            return error
        return chosen, content

    def _fetched(self, address: protocol.Address, model: Model | None) -> tuple[str, Any]:
        """What an object holds, as what the model reads; without a model, text if it is text."""
        data = self.storage.read(address.uri, address.generation)
        kind = model.inputs.kind if model else None
        text = encoding.decode(data) if kind != "image" else None
        if text is not None:
            return "text", text
        if kind == "text":
            raise InstanceError(
                "The object is text in no encoding that could be recognised, or no text.", "undecodable"
            )
        return "image", data


@dataclass(frozen=True, slots=True)
class Group:
    """Instances that are made ready one after another in one thread."""

    indices: Sequence[int]
    fetched: bool = False


def _groups(instances: Sequence[Any]) -> list[Group]:
    """All texts together, images a few at a time, objects one by one."""
    by_kind: dict[str, list[int]] = {"text": [], "image": [], "uri": []}
    for index, value in enumerate(instances):
        by_kind[_kind(value)].append(index)
    images = by_kind["image"]
    groups = [Group(by_kind["text"])] if by_kind["text"] else []
    groups += [Group(images[start : start + FEW_IMAGES]) for start in range(0, len(images), FEW_IMAGES)]
    return groups + [Group([index], fetched=True) for index in by_kind["uri"]]


def _kind(value: object) -> str:
    if not isinstance(value, dict) or "text" in value:
        return "text"
    return "image" if "image" in value else "uri" if "uri" in value else "text"


def _size(ticket: Ticket) -> int:
    return ticket.size


def _is_light(instances: Sequence[Any]) -> bool:
    total = 0
    for value in instances:
        text = value.get("text") if isinstance(value, dict) else value
        if isinstance(value, dict) and text is None and ("image" in value or "uri" in value):
            return False
        total += len(text) if isinstance(text, str) else 0
    return total <= FEW_CHARACTERS


def used(prepared: Sequence[Prepared]) -> Model | None:
    """The first instance's model that has one."""
    return next((item[0] for item in prepared if isinstance(item, tuple)), None)


def prediction(item: Prepared, outcome: object, top: int) -> dict[str, Any]:
    """What is answered for one instance."""
    if isinstance(outcome, ServiceError):
        return {"error": {"code": outcome.code, "message": outcome.message}}
    assert isinstance(item, tuple)
    assert isinstance(outcome, Row)
    if not math.isfinite(outcome.scores[0]):
        failure = InferenceFailed("The model's scores are no numbers.")
        return {"error": {"code": failure.code, "message": failure.message}}
    model, payload = item
    found = model.prediction(outcome, top)
    if payload.truncated:
        found["truncated"] = True
    return found
