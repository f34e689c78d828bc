"""The models in memory: loads each once, lends it to requests, and evicts the one least recently used."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import torch

from gpu_service import logs
from gpu_service.batching.batcher import Batcher
from gpu_service.checkpoints.registry import Entry, Weights
from gpu_service.errors import ModelUnavailable, Overloaded, ServiceError, Unavailable
from gpu_service.serving.loading.loader import Loaded, Loader
from gpu_service.serving.metrics import Metrics
from gpu_service.serving.model import Model

logger = logging.getLogger(__name__)

RETRY_S = 30.0  # after a load failed; doubled with each further failure
LONGEST_RETRY_S = 600.0


@dataclass(slots=True)
class Resident:
    """A model in memory, how many requests use it, and when the last one began or ended to."""

    model: Model
    size: int
    peak: int
    users: int = 0
    used: float = 0.0


@dataclass(slots=True)
class Failure:
    """Why a load failed, how often in a row, and when it may be tried again."""

    message: str
    times: int
    retry_at: float


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory`: the bytes for all models; `waiting`: instances that may wait for a load, for at most `wait_s`."""

    memory: int
    waiting: int
    wait_s: float


@dataclass(slots=True)
class Residents:
    """Used on the event loop alone; one thread loads, one model at a time.

    A model is evicted only after the one that takes its place has answered, and only while nobody uses it. So memory
    must hold the models' budget and one more model.
    """

    loader: Loader
    batcher: Batcher
    metrics: Metrics
    limits: Limits
    clock: Callable[[], float] = time.monotonic
    wanted: Collection[Weights] = ()  # the others go as soon as nobody uses them
    models: dict[Weights, Resident] = field(default_factory=dict)
    failures: dict[Weights, Failure] = field(default_factory=dict)
    proven: set[Weights] = field(default_factory=set)  # have been loaded at some time
    size: int = 0  # of all models and the largest batch, since one batch runs at a time
    _has_unwanted: bool = False
    _loads: dict[Weights, "asyncio.Task[None]"] = field(default_factory=dict)
    _waiting: Counter[Weights] = field(default_factory=Counter)  # instances of requests
    _number: int = 1  # of the last load of a name that was still in use
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "loader"))

    def __post_init__(self) -> None:
        self.metrics.memory_limit.set(self.limits.memory)

    def add(self, loaded: Loaded) -> None:
        """Makes a model available that has been loaded."""
        model = loaded.model
        if model.flow in self.batcher.runners:  # of an earlier load of the same name, which is still in use
            self._number += 1
            model.flow = f"{model.key}#{self._number}"
        self.batcher.add(model.flow, model, loaded.cost)
        weights = model.entry.weights
        self.models[weights] = Resident(model, loaded.size, loaded.peak, used=self.clock())
        self.proven.add(weights)
        self.failures.pop(weights, None)
        self._measure(model)

    @asynccontextmanager
    async def lent(self, entries: Sequence[Entry], instances: int = 0) -> AsyncIterator[list[Model]]:
        """The models of the entries, loaded where necessary, which stay in memory until the end of the block.

        Raises:
            ModelUnavailable: a model cannot be loaded, or not in time.
            Overloaded: too many instances wait for models.
        """
        used: list[Resident] = []
        try:
            for entry in entries:
                resident = self.models.get(entry.weights) or await self._wait(entry, instances)
                resident.users += 1
                resident.used = self.clock()
                used.append(resident)
            yield [resident.model for resident in used]
        finally:
            for resident in used:
                resident.users -= 1
                resident.used = self.clock()
            if self.size > self.limits.memory or self._has_unwanted:
                self._evict()

    async def _wait(self, entry: Entry, instances: int) -> Resident:
        weights = entry.weights
        if self._waiting.total() + instances > self.limits.waiting:
            raise Overloaded("Too many instances wait for models that are loading.", retry_after=5)
        self._waiting[weights] += max(1, instances)
        try:
            async with asyncio.timeout(self.limits.wait_s):
                await asyncio.shield(self.load(entry))
        except TimeoutError as error:
            raise ModelUnavailable(f"The model {entry.key} is still loading.", retry_after=5) from error
        finally:
            self._waiting[weights] -= max(1, instances)
        return self.models[weights]

    def load(self, entry: Entry) -> "asyncio.Task[None]":
        """The load of a model, which is started unless it is under way.

        The task raises ModelUnavailable when the model does not work; so does this until it may be tried again.
        """
        weights = entry.weights
        if (failure := self.failures.get(weights)) and self.clock() < failure.retry_at:
            raise _unavailable(entry, failure.retry_at - self.clock())
        if weights not in self._loads:
            task = self._loads[weights] = asyncio.create_task(self._load(entry))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may wait for it
        return self._loads[weights]

    async def _load(self, entry: Entry) -> None:
        weights, began = entry.weights, self.clock()
        try:
            if weights in self.models:
                return
            await asyncio.to_thread(self.loader.fetch, entry)  # a slow download delays no other load
            loop = asyncio.get_running_loop()
            loaded = await loop.run_in_executor(self._pool, self.loader.load_beside, entry, self.limits.memory)
            self.add(loaded)
        except Exception as error:
            self._fail(entry, error)
            raise _unavailable(entry, self.failures[weights].retry_at - self.clock()) from error
        finally:
            del self._loads[weights]
        seconds = self.clock() - began
        self.metrics.loads.labels(entry.name, entry.version, "loaded").inc()
        self.metrics.load_seconds.labels(entry.name, entry.version).observe(seconds)
        fields = {"model": entry.key, "bytes": loaded.size, "revision": loaded.model.revision}
        logger.info("loaded", extra=logs.fields(**fields, seconds=round(seconds, 3)))
        self._evict(loaded.model.entry.weights)

    def _fail(self, entry: Entry, error: Exception) -> None:
        times = self.failures[entry.weights].times + 1 if entry.weights in self.failures else 1
        message = error.message if isinstance(error, ServiceError) else f"{type(error).__name__}: {error}"
        retry_s = min(RETRY_S * 2 ** (times - 1), LONGEST_RETRY_S)
        self.failures[entry.weights] = Failure(message, times, self.clock() + retry_s)
        self.metrics.loads.labels(entry.name, entry.version, "failed").inc()
        unexpected = None if isinstance(error, ServiceError) else error
        fields = logs.fields(model=entry.key, reason=message, times=times)
        logger.error("a model cannot be loaded", exc_info=unexpected, extra=fields)

    def is_loading(self, entry: Entry) -> bool:
        return entry.weights in self._loads

    def forget(self, entry: Entry) -> None:
        """Removes a model from memory unless a request uses it. Raises Unavailable."""
        resident = self.models.get(entry.weights)
        if resident is None:
            return
        if resident.users or self._waiting[entry.weights]:
            raise Unavailable(f"The model {entry.key} is in use.")
        self._remove(entry.weights, "unloaded")

    def keep(self, entries: Sequence[Entry]) -> None:
        """Takes over the defaults of these entries; what they no longer name goes as soon as nobody uses it."""
        for entry in entries:
            resident = self.models.get(entry.weights)
            if resident is not None and resident.model.entry != entry:
                resident.model = resident.model.with_entry(entry)
        self.wanted = {entry.weights for entry in entries}
        self._has_unwanted = True
        self._evict()

    def _evict(self, newest: Weights | None = None) -> None:
        while victim := self._victim(newest):
            weights, reason = victim
            self._remove(weights, reason)
        self._has_unwanted = any(weights not in self.wanted for weights in self.models)

    def _victim(self, newest: Weights | None) -> tuple[Weights, str] | None:
        """The next model to go, and why."""
        idle = [weights for weights, each in self.models.items() if not each.users and not self._waiting[weights]]
        if removed := next((weights for weights in idle if weights not in self.wanted), None):
            return removed, "removed"
        idle = [weights for weights in idle if weights != newest]
        if self.size <= self.limits.memory or not idle:
            return None
        return min(idle, key=lambda weights: self.models[weights].used), "memory"

    def _remove(self, weights: Weights, reason: str) -> None:
        resident = self.models.pop(weights)
        model = resident.model
        self.batcher.remove(model.flow)
        self._measure(model)
        self.metrics.evictions.labels(model.entry.name, model.entry.version, reason).inc()
        logger.info("evicted", extra=logs.fields(model=model.key, bytes=resident.size, reason=reason))
        if model.device.is_cuda:
            asyncio.get_running_loop().call_soon(self._pool.submit, torch.cuda.empty_cache)

    def _measure(self, changed: Model) -> None:
        """Updates the sizes after a model was added or removed."""
        residents = self.models.values()
        self.size = sum(each.size for each in residents) + max((each.peak for each in residents), default=0)
        of_key = sum(each.size for each in residents if each.model.key == changed.key)
        self.metrics.models.set(len(residents))
        self.metrics.model_bytes.labels(changed.entry.name, changed.entry.version).set(of_key)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _unavailable(entry: Entry, seconds: float) -> ModelUnavailable:
    message = f"The model {entry.key} cannot be loaded; /models and the log say why."
    return ModelUnavailable(message, retry_after=max(1, round(seconds)))
