"""The client for asyncio: the same methods, each in a thread, so that the event loop goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from event_inference.client import Client, Source
from event_inference.inputs.orders import Order
from event_inference.outcomes.documents import Batch, Document, Failed, Rejected, Result
from event_inference.outcomes.handle import Handle, Status
from event_inference.targets import Target
from event_inference.undelivered import Undelivered

T = TypeVar("T")
_END: Any = object()


class AsyncHandle:
    """A `Handle` whose methods are coroutines; `handle` is the handle itself."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle

    async def document(self) -> Document | None:
        """As `Handle.document`."""
        return await asyncio.to_thread(lambda: self.handle.document)

    async def status(self) -> Status:
        """As `Handle.status`."""
        return await asyncio.to_thread(self.handle.status)

    async def wait(self, timeout: float | None = None) -> Document:
        """As `Handle.wait`; a cancelled task's thread goes on until the timeout."""
        return await asyncio.to_thread(self.handle.wait, timeout)


class AsyncClient:
    """A `Client` for asyncio; takes the same arguments, and its methods take those of the same name."""

    def __init__(self, **options: Any) -> None:
        self.client = Client(**options)

    @property
    def target(self) -> Target:
        return self.client.target

    async def submit(self, source: Source | bytes, **options: Any) -> AsyncHandle:
        return AsyncHandle(await asyncio.to_thread(self.client.submit, source, **options))

    async def submit_many(self, sources: Iterable[Source], **options: Any) -> AsyncIterator[AsyncHandle]:
        async for handle in _iterated(lambda: self.client.submit_many(sources, **options)):
            yield AsyncHandle(handle)

    def results(self, **criteria: Any) -> AsyncIterator[Result]:
        return _iterated(lambda: self.client.results(**criteria))

    def rejected(self, **criteria: Any) -> AsyncIterator[Rejected]:
        return _iterated(lambda: self.client.rejected(**criteria))

    def failed(self, **criteria: Any) -> AsyncIterator[Failed]:
        return _iterated(lambda: self.client.failed(**criteria))

    def batches(self, **criteria: Any) -> AsyncIterator[Batch]:
        return _iterated(lambda: self.client.batches(**criteria))

    async def replay(self, **criteria: Any) -> Order:
        return await asyncio.to_thread(self.client.replay, **criteria)

    def undelivered(self, endpoint: str = "") -> AsyncIterator[Undelivered]:
        return _iterated(lambda: self.client.undelivered(endpoint))

    async def send_again(self, notification: Undelivered) -> Order:
        return await asyncio.to_thread(self.client.send_again, notification)

    async def sweep(self, **criteria: Any) -> Order:
        return await asyncio.to_thread(self.client.sweep, **criteria)

    async def collect(self, **criteria: Any) -> Order:
        return await asyncio.to_thread(self.client.collect, **criteria)

    async def close(self) -> None:
        await asyncio.to_thread(self.client.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _iterated(start: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """The values of an iterator whose every step runs in a thread."""
    iterator = await asyncio.to_thread(start)
    while (value := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield value
