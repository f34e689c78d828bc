"""Callbacks (`events.*`): the endpoints that executions open, and the requests that arrive there."""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from emulator.workflows.runtime.clock import Clock

Pairs = Iterable[tuple[str, str]]


@dataclass(slots=True, eq=False)
class Callback:
    """One endpoint of one execution. `name` is its resource name, `received` the requests not yet awaited."""

    name: str
    method: str
    url: str
    waiters: int = 0
    received: deque[dict[str, Any]] = field(default_factory=deque)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    async def next_request(self, timeout: float, clock: Clock) -> dict[str, Any] | None:
        """The next request, or None when none arrives within `timeout` seconds of the clock."""
        if self.received:
            return self.received.popleft()
        arrival = asyncio.ensure_future(self._arrived())
        timer = asyncio.ensure_future(clock.sleep(timeout))
        self.waiters += 1
        try:
            await asyncio.wait((arrival, timer), return_when=asyncio.FIRST_COMPLETED)
            return arrival.result() if arrival.done() else None
        finally:
            self.waiters -= 1
            arrival.cancel()
            timer.cancel()

    async def _arrived(self) -> dict[str, Any]:
        while not self.received:
            self.arrival.clear()
            await self.arrival.wait()
        return self.received.popleft()


class CallbackRegistry:
    """Every open callback by resource name; `base_url` is the address of the server that receives the requests."""

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
        return self._callbacks.get(url.removeprefix(f"{self.base_url}/v1/"))

    def list(self, execution: str) -> list[Callback]:
        """The open callbacks of an execution, oldest first."""
        prefix = f"{execution}/callbacks/"
        return [callback for name, callback in self._callbacks.items() if name.startswith(prefix)]

    def deliver(self, name: str, request: dict[str, Any], received_time: str) -> int:
        """Hand a request to the callback; returns the HTTP status for the sender.

        Args:
            name: the callback's resource name (the URL's path without `/v1/`).
            request: as from `http_request`.
            received_time: RFC 3339.

        Returns:
            200 accepted, 404 no such callback, 405 wrong method, 429 another request is waiting to be read.
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


def http_request(method: str, url: str, query: Pairs, headers: Pairs, body: bytes) -> dict[str, Any]:
    """The `http_request` that `events.await_callback` returns.

    A JSON body is decoded, any other text is a string: variables cannot hold bytes.

    Raises:
        ValueError: the body is neither.
    """
    fields = {"-".join(map(str.capitalize, name.split("-"))): value for name, value in headers}
    parameters: dict[str, Any] = {}
    for name, value in query:
        parameters.setdefault(name, []).append(value)
    return {
        "body": _decoded(body, fields.get("Content-Type", "")) if body else None,
        "headers": fields,
        "method": method,
        "query": {name: values[0] if len(values) == 1 else values for name, values in parameters.items()},
        "url": url,
    }


def _decoded(body: bytes, content_type: str) -> Any:
    media_type = content_type.partition(";")[0].strip().lower()
    text = body.decode()
    return json.loads(text) if media_type == "application/json" or media_type.endswith("+json") else text
