"""Predicts: takes instances through preparation and batcher to predictions."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_service.batching.batcher import Batcher
from gpu_service.batching.order import Order
from gpu_service.batching.scheduler import Ticket
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InferenceFailed, InvalidRequest, ModelNotFound, ServiceError
from gpu_service.inputs import instances as inputs
from gpu_service.parameters import Requested, check_tasks, described
from gpu_service.serving import sizes
from gpu_service.serving.catalog import KINDS, Catalog, Choice
from gpu_service.serving.model import Model
from gpu_service.serving.predictions import Outcome, Timing
from gpu_service.serving.preparation import Preparation, Prepared, is_quick
from gpu_service.serving.refresh import Refresh
from gpu_service.storage import Storage


@dataclass(frozen=True, slots=True)
class Result:
    """One outcome for each instance, in order; `model` is that of the first instance that has one.

    `parameters` are the values that shaped that model's predictions, apart from what instances have by themselves.
    """

    outcomes: list[Outcome]
    model: Model
    timing: Timing
    order: Order
    parameters: Mapping[str, Any]


class Service:
    """The served models behind one batcher; `is_traced` keeps the batches of each request for its spans.

    `refresh` follows models.json; without it, the models stay those of the start.
    """

    def __init__(
        self,
        catalog: Catalog,
        batcher: Batcher,
        storage: Storage,
        *,
        deadline_s: float,
        revision: str,
        is_traced: bool = False,
        refresh: Refresh | None = None,
    ) -> None:
        self.catalog = catalog
        self.batcher = batcher
        self.storage = storage
        self.deadline_s = deadline_s
        self.revision = revision
        self.is_traced = is_traced
        self.refresh = refresh
        self.active_shards = 0
        self.preparation = Preparation(storage)

    async def select(self, name: str | None, version: str | int | None = None) -> Entry | None:
        """As `Catalog.select`, after another look at models.json for a model that is not known."""
        try:
            return self.catalog.select(name, version)
        except ModelNotFound:
            if self.refresh is None:
                raise
            await self.refresh.look_again()
            return self.catalog.select(name, version)

    async def find(self, name: str, version: str | None = None) -> Entry:
        """The same for a model that is named. Raises ModelNotFound."""
        await self.select(name, version)
        return self.catalog.find(name, version)

    async def predict(self, instances: Sequence[Any], entry: Entry | None, requested: Requested) -> Result:
        """Predicts on the instances of one request, with the model of the entry or the default ones.

        Raises:
            ServiceError: the request fails as a whole: overloaded, stopping, no model for any instance, a model that
                is not available, or a parameter that applies to none.
        """
        kinds = () if entry else {inputs.kind(instance) for instance in instances}
        needed = KINDS if "uri" in kinds else [kind for kind in KINDS if kind in kinds]
        async with self.catalog.lent(entry, needed, len(instances)) as choice:
            return await self._predict(instances, choice, requested)

    async def _predict(self, instances: Sequence[Any], choice: Choice, requested: Requested) -> Result:
        if is_quick(instances) and not requested.get("labels"):  # each of which makes another text
            prepared = self.preparation.here(instances, choice, requested)
            readers = _readers(prepared)
            _check(readers, requested)
            order = await self.run(prepared)
            return self._result(outcomes(prepared, order), [order], readers, choice, requested)
        self.batcher.admit(len(instances))  # refuse before the work
        parts = list(sizes.chunks(instances, choice.models, requested))
        deadline = time.monotonic() + self.deadline_s
        readers, orders, results = [], [], []
        for part in parts:  # one after another, so that not all are in memory
            prepared = await self.preparation.in_threads(part, choice, requested)
            readers += _readers(prepared)
            if len(parts) == 1:
                _check(readers, requested)
            orders.append(order := await self.run(prepared, deadline=deadline))
            results += await asyncio.to_thread(outcomes, prepared, order)
        _check(readers, requested)
        return self._result(results, orders, readers, choice, requested)

    def _result(
        self,
        results: list[Outcome],
        orders: Sequence[Order],
        readers: "Sequence[Model | ServiceError]",
        choice: Choice,
        requested: Requested,
    ) -> Result:
        timing = Timing(
            queue_ms=round(1000 * max(0.0, *(order.queue_s for order in orders)), 3),
            inference_ms=round(1000 * max(order.batch_s for order in orders), 3),
            gpu_seconds=round(sum(order.device_s for order in orders), 6),
        )
        first = orders[0]
        if first.runs is not None:
            first.runs = [run for order in orders for run in order.runs or ()]
        chosen = choice.named or next((each for each in readers if isinstance(each, Model)), choice.models[0])
        return Result(results, chosen, timing, first, described(chosen.effective(requested), chosen.entry.task))

    async def run(self, prepared: Sequence[Prepared], *, bulk: bool = False, deadline: float | None = None) -> Order:
        """Returns the completed order. Raises Overloaded or Unavailable, unless it is bulk work."""
        slots = [slot for item in prepared for slot in _slots(item)]
        parameters = [item[2] if isinstance(item, tuple) else None for item in slots]
        order = Order(asyncio.get_running_loop().create_future(), parameters, list(slots))
        order.runs = [] if self.is_traced and not bulk else None
        if deadline is None:
            deadline = math.inf if bulk else time.monotonic() + self.deadline_s
        tickets = [
            Ticket(item[0].flow, item[1].data, item[1].size, deadline, bulk, order, index)
            for index, item in enumerate(slots)
            if isinstance(item, tuple)
        ]
        if bulk:
            tickets.sort(key=_size)  # neighbours of similar length need little padding
        await self.batcher.run(order, tickets)
        return order

    def close(self) -> None:
        if self.refresh is not None:
            self.refresh.close()
        self.catalog.residents.close()
        self.preparation.close()


def first_model(prepared: Sequence[Prepared]) -> Model | None:
    """The model of the first instance that has one."""
    return next((item[0] for item in prepared if isinstance(item, tuple)), None)


def outcomes(prepared: Sequence[Prepared], order: Order) -> list[Outcome]:
    """The prediction or error of each instance of a completed order."""
    results = iter(order.outcomes)
    return [_outcome(item, [next(results) for _ in _slots(item)]) for item in prepared]


def _readers(prepared: Sequence[Prepared]) -> "list[Model | ServiceError]":
    """The model of each instance, or its error."""
    return [item[0] if isinstance(item, tuple) else item for item in prepared]


def _check(readers: "Sequence[Model | ServiceError]", requested: Requested) -> None:
    """Raises ServiceError: the request fails as a whole."""
    if all(isinstance(each, ModelNotFound) for each in readers):
        raise readers[0]  # type: ignore[misc]
    if "score_columns" in requested:
        raise InvalidRequest("score_columns applies to shards in CSV alone.", "invalid_parameters")
    check_tasks(requested, {each.entry.task for each in readers if isinstance(each, Model)})


def _slots(item: Prepared) -> Sequence[Prepared]:
    """What runs for an instance: its payload, or that payload's parts."""
    if isinstance(item, tuple) and item[1].parts:
        model, payload, parameters = item
        return [(model, part, parameters) for part in payload.parts]
    return (item,)


def _outcome(item: Prepared, rows: Sequence[Any]) -> Outcome:
    for row in rows:
        if isinstance(row, ServiceError):
            return row
    assert isinstance(item, tuple)
    model, payload, parameters = item
    if not all(map(model.task.is_finite, rows)):
        return InferenceFailed("The model's scores are not numbers.")
    return model.task.predict(rows, payload, parameters)


def _size(ticket: Ticket) -> int:
    return ticket.size
