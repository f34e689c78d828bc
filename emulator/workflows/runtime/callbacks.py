"""The registry behind `events.*`: endpoints that an execution opens, and the requests that arrive there."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Callback:
    """One endpoint of one execution. `name` is its resource name, `received` the requests not yet awaited."""

    name: str
    method: str
    url: str
    waiters: int = 0
    received: deque[dict[str, Any]] = field(default_factory=deque)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)


class CallbackRegistry:
    """Knows every open callback by resource name; `base_url` is where the caller's server is reached."""

    def __init__(self, base_url: str = "http://127.0.0.1") -> None:
        self.base_url = base_url.rstrip("/")
        self._callbacks: dict[str, Callback] = {}

    def create(self, execution: str, method: str) -> Callback:
        """Open an endpoint for an execution (its resource name)."""
        name = f"{execution}/callbacks/{uuid.uuid4()}"
        callback = Callback(name, method, f"{self.base_url}/v1/{name}")
        self._callbacks[name] = callback
        return callback

    def get(self, name: str) -> Callback | None:
        """The callback of that resource name, while its execution runs."""
        return self._callbacks.get(name)

    def by_url(self, url: str) -> Callback | None:
        """The callback that an execution knows by its URL."""
        return self._callbacks.get(url.removeprefix(f"{self.base_url}/v1/"))

    def list(self, execution: str) -> list[Callback]:
        """The open callbacks of an execution, oldest first."""
        prefix = f"{execution}/callbacks/"
        return [callback for name, callback in self._callbacks.items() if name.startswith(prefix)]

    def deliver(self, name: str, request: dict[str, Any], received_time: str) -> int:
        """Hand a request to whoever awaits it; returns the HTTP status for the sender.

        Args:
            name: the callback's resource name (the URL's path without `/v1/`).
            request: `{body, headers, method, query, url}` as `events.await_callback` returns it.
            received_time: RFC 3339.

        Returns:
            200 accepted, 404 no such callback, 405 another method, 429 nobody waits and one is kept already.
        """
        callback = self._callbacks.get(name)
        if callback is None:
            return 404
        if request["method"] != callback.method:
            return 405
        if len(callback.received) > callback.waiters:
            return 429
        callback.received.append({"http_request": request, "received_time": received_time, "type": "HTTP"})
        callback.arrival.set()
        return 200

    def close(self, execution: str) -> None:
        """Forget the callbacks of an execution that has ended."""
        for callback in self.list(execution):
            del self._callbacks[callback.name]
