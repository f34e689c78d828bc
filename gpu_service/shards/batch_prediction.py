"""Predicts on many shards of one batch, and retries those that fail for a reason that may pass."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gpu_service import logs, parameters
from gpu_service.errors import RetryableError, ServiceError, StorageFailed
from gpu_service.serving.service import Service
from gpu_service.shards import prediction
from gpu_service.shards.batch import Batch
from gpu_service.shards.shard import ShardResponse

logger = logging.getLogger(__name__)

CONCURRENCY = 2  # one shard is read, tokenised and written while the device works on the other
ATTEMPTS = 4  # per shard
PAUSE_S = 1.0  # before the second attempt; doubled before each later one


@dataclass(slots=True)
class Report:
    """Counts of shards and of their records; `kept` counts shards that an earlier attempt had finished."""

    written: int = 0
    kept: int = 0
    failed: list[int] = field(default_factory=list)
    records: int = 0
    failed_records: Counter[str] = field(default_factory=Counter)
    gpu_seconds: float = 0.0

    def add(self, response: ShardResponse, *, was_finished: bool) -> None:
        self.kept += was_finished
        self.written += not was_finished
        self.records += response.records
        self.failed_records.update(response.failed)
        self.gpu_seconds += 0.0 if was_finished else response.timing.gpu_seconds

    def fields(self) -> dict[str, Any]:
        return {
            "written": self.written,
            "kept": self.kept,
            "failed_shards": sorted(self.failed),
            "records": self.records,
            "failed": dict(self.failed_records),
            "gpu_seconds": round(self.gpu_seconds, 3),
        }


class BatchPrediction:
    """`pause` waits between attempts."""

    def __init__(
        self, service: Service, batch: Batch, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.service = service
        self.batch = batch
        self.pause = pause
        model = batch.model
        self.entry = service.catalog.select(model.name, model.version) if model else None
        self.requested = parameters.parse(batch.parameters)
        self.report = Report()

    async def run(self, numbers: Iterable[int]) -> Report:
        """Tries all of these shards, whether or not some fail."""
        waiting = iter(numbers)
        await asyncio.gather(*(self._predict_each(waiting) for _ in range(CONCURRENCY)))
        return self.report

    async def _predict_each(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            try:
                await self._predict(number)
            except ServiceError as error:
                self._fail(number, error.code)
            except Exception:
                logger.exception("unexpected error", extra=logs.fields(shard=number))
                self._fail(number, "internal")

    async def _predict(self, number: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            shard = self.batch.shard(number)
            try:
                response, was_finished = await prediction.predict(self.service, shard, self.entry, self.requested)
            except (StorageFailed, RetryableError) as error:
                if attempt == ATTEMPTS:
                    raise
                fields = logs.fields(shard=number, attempt=attempt, code=error.code)
                logger.warning("a shard is retried", extra=fields)
                await self.pause(PAUSE_S * 2 ** (attempt - 1))
                continue
            self.report.add(response, was_finished=was_finished)
            counts = {"records": response.records, "failed": response.failed}
            logger.info("predicted a shard", extra=logs.fields(shard=number, kept=was_finished, **counts))
            return

    def _fail(self, number: int, code: str) -> None:
        self.report.failed.append(number)
        logger.error("a shard failed", extra=logs.fields(shard=number, code=code))
