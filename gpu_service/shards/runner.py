"""Predicts on a shard: JSON lines in, one line out for each, in order; a finished output is never written again."""

import asyncio
import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import msgspec

from gpu_service import protocol
from gpu_service.errors import InferenceFailed, Overloaded, StorageFailed, Unavailable
from gpu_service.protocol import Modelled, Shard, ShardAnswer, Summary, Timing
from gpu_service.service import Service, prediction, used
from gpu_service.serving_model.model import Model
from gpu_service.shards import lines
from gpu_service.shards.lines import Line
from gpu_service.storage import Changed

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MANY = 16  # shards at once
SUSPICIOUS = 16  # records that fail in the model
FIRST = 512  # lines of the first window, so that the device need not wait long
WINDOW = 4096  # lines that are tokenised and sorted together
WINDOW_BYTES = 8 << 20  # or so many bytes of them
FETCHED_BYTES = 128 << 10  # what the object that a line names may come to
AHEAD = 4  # windows between reading and writing
SPOOL_BYTES = 8 << 20  # of output in memory; more goes to disk
MAX_CODES = 32  # that the summary tells apart: metadata holds 8 KiB in all
OTHER = "other"
CONTENT_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Window:
    """Lines that go together; `start` is the first one's index."""

    start: int
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Predicted:
    """What became of a window."""

    output: bytes
    records: int
    failed: Counter[str]
    model: Model | None
    queue_ms: float
    gpu_seconds: float


class Work:
    """One shard: what is counted while it runs; `kept` says that it had been finished before."""

    def __init__(self, service: Service, request: Shard, model: Model | None, top: int) -> None:
        self.service = service
        self.request = request
        self.model = model
        self.top = top
        self.records = 0
        self.failed: Counter[str] = Counter()
        self.gpu_seconds = 0.0
        self.queue_ms = 0.0
        self.used = model
        self.kept = False

    async def run(self) -> ShardAnswer:
        """Raises ServiceError when the shard cannot be read or written, or too many are under way."""
        if self.service.shards >= MANY:
            raise Overloaded(f"{MANY} shards are being worked on already.", retry_after=10)
        self.service.shards += 1
        try:
            return await self._run()
        finally:
            self.service.shards -= 1

    async def _run(self) -> ShardAnswer:
        source, target, summary = await asyncio.to_thread(self._open)
        if summary is None:
            with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
                await self._copy(source, spool)
                self._judge()
                summary = await self._write(source, target, spool)
        return self._answer(summary)

    def _open(self) -> tuple["Blob", "Blob", Summary | None]:
        """Both objects, and the output's summary when it is there and made of the same input."""
        storage = self.service.storage
        source, target = storage.blob(self.request.input), storage.blob(self.request.output)
        storage.reload(source)
        if not storage.reload(target, missing=True):
            return source, target, None
        metadata = target.metadata or {}
        same = self._identity(source).items() <= metadata.items()
        summary = _summary(metadata.get("shard-summary", "")) if same else None
        self.kept = summary is not None
        return source, target, summary

    def _identity(self, source: "Blob") -> dict[str, str]:
        """What the output's content depends on, kept in its metadata."""
        return {
            "shard-input": f"{self.request.input}#{source.generation}",
            "shard-offset": str(self.request.offset),
            "shard-model": self.model.key if self.model else ",".join(self.service.defaults),
            "shard-top-k": str(self.top),
            "shard-format": self.request.format,
        }

    async def _copy(self, source: "Blob", spool: IO[bytes]) -> None:
        """Reads and tokenises windows while the device works on those before them."""
        windows = self._windows(source)
        pending: deque[asyncio.Task[Predicted]] = deque()
        try:
            while window := await asyncio.to_thread(next, windows, None):
                pending.append(asyncio.create_task(self._predicted(window)))
                if len(pending) >= AHEAD:
                    self._add(await pending.popleft(), spool)
            while pending:
                self._add(await pending.popleft(), spool)
        finally:
            for task in pending:
                task.cancel()

    def _judge(self) -> None:
        """Most records failing in the model says more of the device than of them: nothing is written, to try again.

        Raises Unavailable.
        """
        broken = self.failed[InferenceFailed.code]
        if broken >= SUSPICIOUS and 2 * broken > self.records:
            raise Unavailable(f"The model failed on {broken} of the shard's {self.records} records.")

    def _windows(self, source: "Blob") -> Iterator[Window]:
        window, size, full = Window(self.request.offset, []), 0, min(FIRST, WINDOW)
        for data in self.service.storage.lines(source):
            line = lines.parse(data)
            window.lines.append(line)
            size += len(data) + (FETCHED_BYTES if line.uri else 0)
            if len(window.lines) >= full or size >= WINDOW_BYTES:
                yield window
                window, size, full = Window(window.start + len(window.lines), []), 0, min(2 * full, WINDOW)
        if window.lines:
            yield window

    async def _predicted(self, window: Window) -> Predicted:
        prepared = await self.service.prepare([line.instance for line in window.lines], self.model)
        order = await self.service.run(prepared, self.top, bulk=True)

        def written() -> Predicted:
            predictions = [prediction(item, row, self.top) for item, row in zip(prepared, order.outcomes, strict=True)]
            return Predicted(
                output=lines.WRITERS[self.request.format](window.start, window.lines, predictions),
                records=len(predictions),
                failed=Counter(each["error"]["code"] for each in predictions if "error" in each),
                model=used(prepared),
                queue_ms=1000 * max(0.0, order.queue_s),
                gpu_seconds=order.device_s,
            )

        return await asyncio.to_thread(written)

    def _add(self, predicted: Predicted, spool: IO[bytes]) -> None:
        spool.write(predicted.output)
        self.records += predicted.records
        self.failed += predicted.failed
        self.used = self.used or predicted.model
        self.queue_ms = max(self.queue_ms, predicted.queue_ms)
        self.gpu_seconds += predicted.gpu_seconds

    async def _write(self, source: "Blob", target: "Blob", spool: IO[bytes]) -> Summary:
        """Makes the output appear, unless another has written the same meanwhile."""
        generation = int(target.generation or 0)
        summary = self._summed()
        metadata = {**self._identity(source), "shard-summary": protocol.encode(summary).decode()}
        content_type = CONTENT_TYPES[self.request.format]
        write = self.service.storage.write
        try:
            await asyncio.to_thread(write, self.request.output, spool, generation, metadata, content_type)
        except Changed as lost:
            _, _, theirs = await asyncio.to_thread(self._open)
            if theirs is None:
                raise StorageFailed("The output was changed by someone else meanwhile.") from lost
            return theirs
        return summary

    def _summed(self) -> Summary:
        model = self.used or self.service.any()
        return Summary(
            records=self.records,
            failed=_bounded(self.failed),
            model=Modelled(**model.describe()),
            device=model.device.name,
            gpu_seconds=round(self.gpu_seconds, 6),
            inference_ms=round(1000 * self.gpu_seconds, 3),
            revision=self.service.revision,
        )

    def _answer(self, summary: Summary) -> ShardAnswer:
        return ShardAnswer(
            output=self.request.output,
            records=summary.records,
            succeeded=summary.records - sum(summary.failed.values()),
            failed=summary.failed,
            model=summary.model,
            device=summary.device,
            timing=Timing(round(self.queue_ms, 3), summary.inference_ms, summary.gpu_seconds),
            revision=summary.revision,
        )


def _summary(text: str) -> Summary | None:
    try:
        return msgspec.json.decode(text, type=Summary)
    except msgspec.MsgspecError:
        return None


def _bounded(failed: Counter[str]) -> dict[str, int]:
    """The most frequent codes; what is left of them goes under one."""
    if len(failed) <= MAX_CODES:
        return dict(failed)
    kept = dict(failed.most_common(MAX_CODES - 1))
    kept[OTHER] = kept.get(OTHER, 0) + failed.total() - sum(kept.values())
    return kept
