"""The GPU task of a batch: predicts on its share of the shards, those that are not finished: python -m gpu_service.job.

The outputs are the checkpoint: a task that is started again computes what is missing, and nothing else.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from gpu_service.shards.lines import Format

from . import logs, process, protocol
from .errors import AgainError, ServiceError, StartError, StorageFailed
from .protocol import Shard
from .settings import Settings
from .storage import Storage

if TYPE_CHECKING:
    from gpu_service.serving_model.model import Model
    from gpu_service.shards.runner import Work

    from .service import Service

logger = logging.getLogger(__name__)

AT_ONCE = 2  # shards: one is read, tokenised and written while the device works on the other
ATTEMPTS = 4  # for a shard, after what may pass
PAUSE_S = 1.0  # before the second attempt; then twice as long each time
WATCH_S = 1.0
TERMINATED = 128 + signal.SIGTERM

Count = Annotated[int, msgspec.Meta(ge=0)]


class Named(msgspec.Struct):
    name: str
    version: str | int | None = None


class Index(msgspec.Struct):
    """A batch's index.json: where its shards lie, and what is asked of the model."""

    prefix: str
    shards: Count
    records: Count
    records_per_shard: Count
    format: Format = "jsonl"
    model: Named | None = None
    parameters: dict[str, Any] | None = None

    def shard(self, number: int) -> Shard:
        stem = f"{self.prefix}{number}"
        return Shard(f"{stem}.jsonl", f"{stem}.out.{self.format}", number * self.records_per_shard, self.format)


@dataclass(frozen=True, slots=True)
class Task:
    """One of `count` tasks that share a batch."""

    index: str
    number: int = 0
    count: int = 1

    @staticmethod
    def read(environ: Mapping[str, str]) -> "Task":
        """Raises StartError."""
        number, count = (environ.get(f"CLOUD_RUN_TASK_{name}") or default for name, default in TASK)
        if not environ.get("BATCH_INDEX"):
            raise StartError("BATCH_INDEX must be the gs:// address of a batch's index.json.")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise StartError(f"There is no task {number} of {count}.")
        return Task(environ["BATCH_INDEX"], int(number), int(count))

    def shards(self, total: int) -> range:
        return range(self.number, total, self.count)


TASK = (("INDEX", "0"), ("COUNT", "1"))


@dataclass(slots=True)
class Report:
    """What became of a task's shards; `kept` are those that were finished before."""

    written: int = 0
    kept: int = 0
    failed: list[int] = field(default_factory=list)
    records: int = 0
    failed_records: Counter[str] = field(default_factory=Counter)
    gpu_seconds: float = 0.0

    def fields(self) -> dict[str, Any]:
        return {
            "written": self.written,
            "kept": self.kept,
            "failed_shards": sorted(self.failed),
            "records": self.records,
            "failed": dict(self.failed_records),
            "gpu_seconds": round(self.gpu_seconds, 3),
        }


class Job:
    """Works off shards of one batch; `pause` is what waits between attempts."""

    def __init__(
        self, service: "Service", batch: Index, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.service = service
        self.batch = batch
        self.pause = pause
        named = batch.model
        self.model: Model | None = service.select(named.name, named.version) if named else None
        self.top = protocol.top(batch.parameters)
        self.report = Report()

    async def run(self, numbers: Iterable[int]) -> Report:
        """Tries all of them, whatever becomes of some."""
        waiting = iter(numbers)
        await asyncio.gather(*(self._work_off(waiting) for _ in range(AT_ONCE)))
        return self.report

    async def _work_off(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            try:
                await self._shard(number)
            except ServiceError as error:
                self._failed(number, error.code)
            except Exception:
                logger.exception("unexpected error", extra=logs.fields(shard=number))
                self._failed(number, "internal")

    async def _shard(self, number: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            work = self._made(number)
            try:
                answer = await work.run()
            except (StorageFailed, AgainError) as error:
                if attempt == ATTEMPTS:
                    raise
                fields = logs.fields(shard=number, attempt=attempt, code=error.code)
                logger.warning("a shard is tried again", extra=fields)
                await self.pause(PAUSE_S * 2 ** (attempt - 1))
                continue
            report = self.report
            report.kept += work.kept
            report.written += not work.kept
            report.records += answer.records
            report.failed_records.update(answer.failed)
            report.gpu_seconds += 0.0 if work.kept else answer.timing.gpu_seconds
            fields = logs.fields(shard=number, kept=work.kept, records=answer.records, failed=answer.failed)
            logger.info("predicted a shard", extra=fields)
            return

    def _made(self, number: int) -> "Work":
        from gpu_service.shards.runner import Work

        return Work(self.service, self.batch.shard(number), self.model, self.top)

    def _failed(self, number: int, code: str) -> None:
        self.report.failed.append(number)
        logger.error("a shard failed", extra=logs.fields(shard=number, code=code))


def run(settings: Settings, task: Task) -> int:
    """0 when each of the task's shards is written, 1 otherwise.

    Raises:
        ServiceError: the batch cannot be begun.
    """
    batch = _index(Storage(settings.buckets), task.index)
    numbers = task.shards(batch.shards)
    if not numbers:
        logger.info("there is no shard for this task", extra=logs.fields(task=task.number, tasks=task.count))
        return 0
    return asyncio.run(_run(settings, batch, task, numbers))


def _index(storage: Storage, uri: str) -> Index:
    try:
        return msgspec.json.decode(storage.read(uri), type=Index)
    except msgspec.MsgspecError as error:
        raise StartError(f"{uri} is no index of a batch: {error}") from error


async def _run(settings: Settings, batch: Index, task: Task, numbers: range) -> int:
    from gpu_service import startup

    loaded = startup.load(settings)
    service, _ = startup.service(settings, loaded)
    job = Job(service, batch)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _terminate, job)
    began = time.monotonic()
    working = asyncio.create_task(job.run(numbers))
    while not working.done():
        await asyncio.wait((working,), timeout=WATCH_S)
        if not service.batcher.is_alive:
            logger.error("the thread that runs the models has ended", extra=logs.fields(**job.report.fields()))
            return 1
    report, seconds = await working, time.monotonic() - began
    fields = logs.fields(
        task=task.number,
        tasks=task.count,
        shards=len(numbers),
        **report.fields(),
        seconds=round(seconds, 3),
        records_per_second=round(report.records / seconds, 1),
    )
    logger.log(logging.ERROR if report.failed else logging.INFO, "the task ended", extra=fields)
    return 1 if report.failed else 0


def _terminate(job: Job) -> None:
    """At once: an output appears whole or not at all, and what is missing is computed by the next attempt."""
    logger.warning("the task was told to stop", extra=logs.fields(**job.report.fields()))
    process.leave(TERMINATED)


def main() -> int:
    """Raises ServiceError."""
    from .settings import read

    return run(read(sys.argv[1:]), Task.read(os.environ))


if __name__ == "__main__":
    process.main(main, terminated=TERMINATED)
