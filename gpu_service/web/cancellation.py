"""Cancels the work for a request whose client has disconnected."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from gpu_service.web.asgi import Disconnected, Request

T = TypeVar("T")
PATIENCE_S = 0.2  # after which a request's client is watched; most responses take less


class Cancellation:
    """Watches the clients of all requests in progress."""

    def __init__(self) -> None:
        self._watches: dict[asyncio.Task[Any], asyncio.TimerHandle | asyncio.Task[None]] = {}
        self._disconnected: set[asyncio.Task[Any]] = set()

    async def guard(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; the work is cancelled when the client disconnects.

        Raises:
            Disconnected: it did.
        """
        current = asyncio.current_task()
        assert current is not None
        self._watches[current] = asyncio.get_running_loop().call_later(PATIENCE_S, self._watch, request, current)
        try:
            return await work
        except asyncio.CancelledError:
            if current in self._disconnected:
                current.uncancel()
                raise Disconnected from None
            raise
        finally:
            self._watches.pop(current).cancel()
            self._disconnected.discard(current)

    def _watch(self, request: Request, task: "asyncio.Task[Any]") -> None:
        async def cancel_on_disconnect() -> None:
            await request.disconnected()
            self._disconnected.add(task)
            task.cancel()

        self._watches[task] = asyncio.create_task(cancel_on_disconnect())
