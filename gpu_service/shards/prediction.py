"""Predicts on a shard: one line out for each JSON line in, in order; a finished output is never written again."""

import asyncio
import hashlib
import io
import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from gpu_service import parameters
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import (
    GenerationChanged,
    InferenceFailed,
    InvalidRequest,
    Overloaded,
    ServiceError,
    StorageFailed,
    Unavailable,
)
from gpu_service.parameters import Requested, check_tasks
from gpu_service.serving import sizes
from gpu_service.serving.catalog import Choice
from gpu_service.serving.model import Model
from gpu_service.serving.predictions import Outcome
from gpu_service.serving.preparation import Prepared
from gpu_service.serving.service import Service, first_model, outcomes
from gpu_service.shards import lines, shard, windows
from gpu_service.shards.shard import Dialect, Reason, Shard, ShardResponse, Summary
from gpu_service.shards.windows import Window

if TYPE_CHECKING:
    from google.cloud.storage import Blob

MAX_ACTIVE = 16  # shards in progress
SUSPICIOUS_FAILURES = 16  # records on which the model fails
WINDOWS_AHEAD = 4  # between reading and writing
SPOOL_BYTES = 8 << 20  # of output in memory; more goes to disk
SUMMARY_BYTES = 6 << 10  # of the 8 KiB that an object's metadata holds
MAX_CODES = 32  # in a summary
MAX_REASONS = 3
REASON_CHARACTERS = 200
OTHER = "other"
CONTENT_TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The output of a window, and what it adds to the shard's summary."""

    output: bytes
    records: int
    failed: Counter[str]
    reasons: list[Reason]
    counts: Counter[str]
    model: Model | None
    queue_ms: float
    gpu_seconds: float


async def predict(
    service: Service, shard: Shard, entry: Entry | None, requested: Requested
) -> tuple[ShardResponse, bool]:
    """The response for a shard, and whether an earlier attempt had written its output.

    Raises:
        ServiceError: as `ShardPrediction.run` does, or the model is not available.
    """
    async with service.catalog.lent(entry) as choice:
        prediction = ShardPrediction(service, shard, choice, requested)
        return await prediction.run(), prediction.was_finished


class ShardPrediction:
    """Work on one shard with the models of a choice, and its totals.

    `was_finished` says that an earlier attempt had written the output.
    """

    def __init__(self, service: Service, shard: Shard, choice: Choice, requested: Requested) -> None:
        self.service = service
        self.shard = shard
        self.choice = choice
        self.requested = requested
        named = choice.named
        self.labels = list(dict.fromkeys(named.labels)) if named and requested.get("score_columns") else []
        self.was_finished = False
        self._records = 0
        self._failed: Counter[str] = Counter()
        self._reasons: list[Reason] = []
        self._counts: Counter[str] = Counter()
        self._gpu_seconds = 0.0
        self._queue_ms = 0.0
        self._model_used = named
        self._models = choice.models
        self._columns = lines.columns(each.task.prediction for each in self._models)

    async def run(self) -> ShardResponse:
        """Raises ServiceError when the shard cannot be read or written, or too many are in progress.

        InvalidRequest when a parameter does not apply to its models, or score columns to its output.
        """
        self._check_parameters()
        if self.service.active_shards >= MAX_ACTIVE:
            raise Overloaded(f"{MAX_ACTIVE} shards are already in progress.", retry_after=10)
        self.service.active_shards += 1
        try:
            return await self._run()
        finally:
            self.service.active_shards -= 1

    def _check_parameters(self) -> None:
        check_tasks(self.requested, {model.entry.task for model in self._models})
        if self.requested.get("score_columns") and (self.choice.named is None or self.shard.format != "csv"):
            message = "score_columns requires a model, whose labels become the columns, and the output format csv."
            raise InvalidRequest(message, "invalid_parameters")

    async def _run(self) -> ShardResponse:
        source, target, summary = await asyncio.to_thread(self._open)
        if summary is None:
            with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
                await self._predict(source, spool)
                self._check_failures()
                if self.labels and self.shard.labels:
                    await asyncio.to_thread(self._write_labels, self.shard.labels)
                summary = await self._write(source, target, spool)
        return shard.response(self.shard, summary, self._queue_ms)

    def _open(self) -> tuple["Blob", "Blob", Summary | None]:
        """Input and output, and the output's summary when it was made of the same input in the same way."""
        storage = self.service.storage
        source, target = storage.shard(self.shard.input), storage.shard(self.shard.output)
        storage.reload(source)
        if not storage.reload(target, may_be_missing=True):
            return source, target, None
        metadata = target.metadata or {}
        is_same = self._identity(source).items() <= metadata.items()
        summary = _summary(metadata.get("shard-summary", "")) if is_same else None
        self.was_finished = summary is not None
        return source, target, summary

    def _identity(self, source: "Blob") -> dict[str, str]:
        """Everything that the output depends on, kept in its metadata."""
        return {
            "shard-input": f"{self.shard.input}#{source.generation}",
            "shard-offset": str(self.shard.offset),
            "shard-model": ",".join(f"{model.key}#{model.state}" for model in self._models),
            "shard-parameters": self._parameters_digest(),
            "shard-format": self.shard.format,
            "shard-dialect": msgspec.json.encode(self.shard.dialect).decode(),
        }

    def _parameters_digest(self) -> str:
        """Identifies the values that shape each model's predictions, the defaults included."""
        effective = {model.key: model.effective(self.requested) for model in self._models}
        return hashlib.sha256(msgspec.json.encode(effective, order="deterministic")).hexdigest()[:32]

    async def _predict(self, source: "Blob", spool: IO[bytes]) -> None:
        """Reads and tokenises windows while the device works on earlier ones."""
        unread = windows.cut(self.service.storage.lines(source), self.shard.offset, self._prepared_bytes)
        pending: deque[asyncio.Task[WindowResult]] = deque()
        try:
            while window := await asyncio.to_thread(_next, unread):
                pending.append(asyncio.create_task(self._predict_window(window)))
                if len(pending) >= WINDOWS_AHEAD:
                    self._add(await pending.popleft(), spool)
            while pending:
                self._add(await pending.popleft(), spool)
        finally:
            for task in pending:
                task.cancel()

    def _prepared_bytes(self, instance: object, size: int) -> int:
        return sizes.prepared_bytes(instance, size, self._models, self.requested)

    def _check_failures(self) -> None:
        """Raises Unavailable when the model failed on most records: that points to the device, not to the records."""
        failures = self._failed[InferenceFailed.code]
        if failures >= SUSPICIOUS_FAILURES and 2 * failures > self._records:
            raise Unavailable(f"The model failed on {failures} of the shard's {self._records} records.")

    async def _predict_window(self, window: Window) -> WindowResult:
        instances = [line.instance for line in window.lines]
        prepared = await self.service.preparation.in_threads(instances, self.choice, self.requested)
        order = await self.service.run(prepared, bulk=True)

        def result() -> WindowResult:
            results = outcomes(prepared, order)
            return WindowResult(
                output=lines.WRITERS[self.shard.format](
                    window.start, window.lines, results, self._columns, self.labels, self.shard.dialect or Dialect()
                ),
                records=len(results),
                failed=Counter(outcome.code for outcome in results if isinstance(outcome, ServiceError)),
                reasons=_reasons(window.start, results),
                counts=_counts(prepared, results),
                model=first_model(prepared),
                queue_ms=1000 * max(0.0, order.queue_s),
                gpu_seconds=order.device_s,
            )

        return await asyncio.to_thread(result)

    def _add(self, result: WindowResult, spool: IO[bytes]) -> None:
        spool.write(result.output)
        self._records += result.records
        self._failed += result.failed
        self._reasons = [*self._reasons, *result.reasons][:MAX_REASONS]
        self._counts += result.counts
        self._model_used = self._model_used or result.model
        self._queue_ms = max(self._queue_ms, result.queue_ms)
        self._gpu_seconds += result.gpu_seconds

    async def _write(self, source: "Blob", target: "Blob", spool: IO[bytes]) -> Summary:
        """Creates or replaces the output, unless a concurrent attempt has just written the same."""
        generation = int(target.generation or 0)
        summary = self._totals()
        metadata = {**self._identity(source), "shard-summary": _kept(summary)}
        content_type = CONTENT_TYPES[self.shard.format]
        write = self.service.storage.write
        try:
            await asyncio.to_thread(write, self.shard.output, spool, generation, metadata, content_type)
        except GenerationChanged as error:
            _, _, other = await asyncio.to_thread(self._open)
            if other is None:
                raise StorageFailed("Another writer has changed the output.") from error
            return other
        return summary

    def _write_labels(self, uri: str) -> None:
        """Writes the labels of the score columns, unless an earlier shard did.

        Raises:
            StorageFailed: an earlier shard had other labels, so that the columns would not be the same.
        """
        storage, data = self.service.storage, msgspec.json.encode(self.labels)
        with io.BytesIO(data) as content, suppress(GenerationChanged):
            content.seek(len(data))
            storage.write(uri, content, 0, {}, "application/json")
        if storage.index(uri) != data:
            raise StorageFailed("The model's labels have changed since the first shard; upload the input again.")

    def _totals(self) -> Summary:
        model = self._model_used or self._models[0]
        return Summary(
            records=self._records,
            failed=_most_frequent(self._failed),
            truncated=self._counts["truncated"],
            high_confidence=self._counts["high_confidence"],
            requires_review=self._counts["requires_review"],
            parameters=parameters.described(model.effective(self.requested), model.entry.task),
            model=model.describe(),
            device=model.device.name,
            gpu_seconds=round(self._gpu_seconds, 6),
            inference_ms=round(1000 * self._gpu_seconds, 3),
            revision=self.service.revision,
            columns=self._columns,
            reasons=self._reasons,
        )


def _reasons(start: int, results: Sequence[Outcome]) -> list[Reason]:
    """Why the first records failed; `start` is the index of the first result."""
    failed = ((index, outcome) for index, outcome in enumerate(results, start) if isinstance(outcome, ServiceError))
    first = islice(failed, MAX_REASONS)
    return [Reason(index, error.code, f"{error.message:.{REASON_CHARACTERS}}") for index, error in first]


def _counts(prepared: Sequence[Prepared], results: Sequence[Outcome]) -> Counter[str]:
    """Truncated texts, and scores beyond the limits of their own parameters."""
    counts: Counter[str] = Counter()
    for item, outcome in zip(prepared, results, strict=True):
        if isinstance(item, tuple) and not isinstance(outcome, ServiceError):
            counts["truncated"] += outcome.truncated
            if (confidence := outcome.confidence) is not None and 0 <= confidence <= 1:
                counts["high_confidence"] += confidence > item[2].high_confidence
                counts["requires_review"] += confidence < item[2].requires_review
    return counts


def _next(unread: Iterator[Window]) -> Window | None:
    return next(unread, None)


def _kept(summary: Summary) -> str:
    """As JSON; without the parameters that are lists and texts if it would be too long with them."""
    text = msgspec.json.encode(summary).decode()
    if len(text.encode()) <= SUMMARY_BYTES:
        return text
    short = {name: value for name, value in summary.parameters.items() if not isinstance(value, list | str)}
    return msgspec.json.encode(replace(summary, parameters=short)).decode()


def _summary(text: str) -> Summary | None:
    try:
        return msgspec.json.decode(text, type=Summary)
    except msgspec.MsgspecError:
        return None


def _most_frequent(failed: Counter[str]) -> dict[str, int]:
    """Counts by code; the rarest codes are counted together when there are many."""
    if len(failed) <= MAX_CODES:
        return dict(failed)
    kept = dict(failed.most_common(MAX_CODES - 1))
    kept[OTHER] = kept.get(OTHER, 0) + failed.total() - sum(kept.values())
    return kept
