"""A task of the GPU job, which predicts on its share of a batch's unfinished shards: `python -m gpu_service.job`.

The outputs are the checkpoint: a restarted task computes only what is missing.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from gpu_service import entrypoint, logs, settings
from gpu_service.errors import StartError
from gpu_service.settings import Settings
from gpu_service.shards.batch import Batch
from gpu_service.storage import Storage

if TYPE_CHECKING:  # they import torch, which a task without shards does not need
    from gpu_service.checkpoints.registry import Entry, Registry
    from gpu_service.shards.batch_prediction import BatchPrediction

logger = logging.getLogger(__name__)

CHECK_S = 1.0  # between checks that the device's thread is alive
TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Task:
    """One of `count` tasks that share a batch."""

    index: str
    number: int = 0
    count: int = 1

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Raises StartError."""
        number = environ.get("CLOUD_RUN_TASK_INDEX") or "0"
        count = environ.get("CLOUD_RUN_TASK_COUNT") or "1"
        if not environ.get("BATCH_INDEX"):
            raise StartError("BATCH_INDEX must be the gs:// URI of a batch's index.json.")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise StartError(f"CLOUD_RUN_TASK_INDEX must be less than CLOUD_RUN_TASK_COUNT, not {number} of {count}.")
        return cls(environ["BATCH_INDEX"], int(number), int(count))

    def shards(self, total: int) -> range:
        return range(self.number, total, self.count)


def run(options: Settings, task: Task) -> int:
    """Returns 0 when all the task's shards are written, 1 otherwise.

    Raises:
        ServiceError: the batch or a model cannot be read.
    """
    batch = _read_index(Storage(options.input_bucket, options.work_bucket), task.index)
    numbers = task.shards(batch.shards)
    if not numbers:
        logger.info("there is no shard for this task", extra=logs.fields(task=task.number, tasks=task.count))
        return 0
    return asyncio.run(_run(options, batch, task, numbers))


def _read_index(storage: Storage, uri: str) -> Batch:
    try:
        return msgspec.json.decode(storage.index(uri), type=Batch)
    except msgspec.MsgspecError as error:
        raise StartError(f"{uri} is not a valid index of a batch: {error}") from error


async def _run(options: Settings, batch: Batch, task: Task, numbers: range) -> int:
    from gpu_service.serving import startup
    from gpu_service.shards.batch_prediction import BatchPrediction

    def select(entries: "Registry") -> "Sequence[Entry]":
        if batch.model:
            version = batch.model.version
            return [entries.find(batch.model.name, None if version is None else str(version))]
        return [entry for entry in entries.entries if entries.is_default(entry)]

    service, _ = startup.start(options, startup.load(options, select))
    prediction = BatchPrediction(service, batch)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _terminate, prediction)
    began = time.monotonic()
    running = asyncio.create_task(prediction.run(numbers))
    while not running.done():
        await asyncio.wait((running,), timeout=CHECK_S)
        if not service.batcher.is_alive:
            logger.error("the thread that runs the models has ended", extra=logs.fields(**prediction.report.fields()))
            return 1
    report, seconds = await running, time.monotonic() - began
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


def _terminate(prediction: "BatchPrediction") -> None:
    """Exits immediately: outputs appear whole or not at all, and the next attempt computes the missing ones."""
    logger.warning("the task received SIGTERM", extra=logs.fields(**prediction.report.fields()))
    entrypoint.exit_now(TERMINATED)


def main() -> int:
    """Raises ServiceError."""
    return run(settings.read(sys.argv[1:]), Task.read(os.environ))


if __name__ == "__main__":
    entrypoint.run(main, on_sigterm=TERMINATED)
