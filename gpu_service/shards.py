"""Predicts on a shard: JSON lines in, one line out for each, in order; a complete output is never written again."""

import asyncio
import itertools
import logging
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from . import protocol
from .errors import InstanceError, Overloaded, StorageFailed
from .model import Model
from .protocol import Shard, ShardAnswer, Timing
from .service import Outcome, Service
from .storage import Output, translated

if TYPE_CHECKING:
    from google.cloud.storage import Blob

logger = logging.getLogger(__name__)

MANY = 16  # shards at once
CHUNK = 256  # lines that go together
AHEAD = 8  # chunks between reading and writing


class Work:
    """One shard: what is counted while it runs."""

    def __init__(self, service: Service, request: Shard, model: Model | None, top: int) -> None:
        self.service = service
        self.request = request
        self.model = model
        self.top = top
        self.records = 0
        self.failed: Counter[str] = Counter()
        self.timing = Timing(0.0, 0.0, 0.0)
        self.used = model

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
        from google.api_core.exceptions import PreconditionFailed

        source, target, done = await asyncio.to_thread(self._open)
        if done is not None:
            return done
        output = Output(target, int(target.generation or 0), self._identity(source))
        await self._copy(source, output)
        try:
            await asyncio.to_thread(self._close, output)
        except PreconditionFailed as lost:
            again = Work(self.service, self.request, self.model, self.top)
            _, _, done = await asyncio.to_thread(again._open)
            if done is None:
                raise StorageFailed("The output was changed by someone else meanwhile.") from lost
            return done
        return self._answer()

    def _open(self) -> tuple["Blob", "Blob", ShardAnswer | None]:
        """Both objects, and the summary when the output is there and made of the same input."""
        storage = self.service.storage
        source, target = storage.blob(self.request.input), storage.blob(self.request.output)
        with translated(self.request.input):
            source.reload()
        with translated(self.request.output):
            existing = target.bucket.get_blob(target.name)
        if existing is None:
            return source, target, None
        if (existing.metadata or {}) != self._identity(source):
            return source, existing, None
        return source, existing, self._summary(existing)

    def _identity(self, source: "Blob") -> dict[str, str]:
        """What the output's content depends on, kept in its metadata."""
        model = self.model.key if self.model else ",".join(self.service.defaults)
        return {
            "shard-input": f"{self.request.input}#{source.generation}",
            "shard-offset": str(self.request.offset),
            "shard-model": model,
            "shard-top-k": str(self.top),
        }

    def _summary(self, existing: "Blob") -> ShardAnswer:
        for line in self.service.storage.lines(existing):
            self._count(msgspec.json.decode(line))
        return self._answer()

    async def _copy(self, source: "Blob", output: Output) -> None:
        lines = self._chunks(source)
        pending: deque[asyncio.Task[bytes]] = deque()
        try:
            while chunk := await asyncio.to_thread(next, lines, None):
                start, values = chunk
                pending.append(asyncio.create_task(self._predicted(start, values)))
                if len(pending) >= AHEAD:
                    await asyncio.to_thread(self._write, output, await pending.popleft())
            while pending:
                await asyncio.to_thread(self._write, output, await pending.popleft())
        finally:
            for task in pending:
                task.cancel()

    def _chunks(self, source: "Blob") -> Iterator[tuple[int, list[Any]]]:
        index = self.request.offset
        values = map(_value, self.service.storage.lines(source))
        while chunk := list(itertools.islice(values, CHUNK)):
            yield index, chunk
            index += len(chunk)

    async def _predicted(self, start: int, values: list[Any]) -> bytes:
        outcome = await self.service.predict(values, self.model, self.top, bulk=True)
        return self._encoded(start, outcome)

    def _encoded(self, start: int, outcome: Outcome) -> bytes:
        lines = []
        for index, prediction in enumerate(outcome.predictions, start):
            self._count(prediction)
            lines.append(protocol.encode({"index": index, **prediction}))
        self.used = self.used or outcome.model
        self.timing.queue_ms = max(self.timing.queue_ms, outcome.timing.queue_ms)
        self.timing.inference_ms = round(self.timing.inference_ms + 1000 * outcome.timing.gpu_seconds, 3)
        self.timing.gpu_seconds = round(self.timing.gpu_seconds + outcome.timing.gpu_seconds, 6)
        return b"\n".join(lines) + b"\n"

    def _count(self, prediction: dict[str, Any]) -> None:
        self.records += 1
        if "error" in prediction:
            self.failed[prediction["error"]["code"]] += 1

    def _write(self, output: Output, data: bytes) -> None:
        with translated(self.request.output):
            output.write(data)

    def _close(self, output: Output) -> None:
        with translated(self.request.output):
            output.close()

    def _answer(self) -> ShardAnswer:
        model = self.used or self.service.default("text")
        return ShardAnswer(
            output=self.request.output,
            records=self.records,
            succeeded=self.records - sum(self.failed.values()),
            failed=dict(self.failed),
            model=self.service.modelled(model),
            device=model.device.name,
            timing=self.timing,
            revision=self.service.revision,
        )


def _value(line: bytes) -> Any:
    """The line's JSON; what cannot be read comes back with its own error."""
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return InstanceError("The line is not JSON.", "invalid_json")
