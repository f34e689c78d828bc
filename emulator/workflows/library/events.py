"""`events`: callbacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emulator.workflows import limits
from emulator.workflows.errors import failure, type_error, value_error
from emulator.workflows.library import expecting
from emulator.workflows.library.table import BLOCKING, CONTEXTUAL, LibraryFunction, declare
from emulator.workflows.runtime.callbacks import Callback
from emulator.workflows.values import normal

if TYPE_CHECKING:
    from emulator.workflows.runtime.scope import Execution, Frame

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


def create_callback_endpoint(execution: Execution, http_callback_method: Any = "POST") -> dict[str, Any]:
    """A new endpoint that accepts one HTTP method."""
    method = expecting.string("events.create_callback_endpoint", "http_callback_method", http_callback_method)
    if method not in METHODS:
        raise value_error(f"events.create_callback_endpoint: unknown method '{method}'")
    callback = execution.runtime.callbacks.create(execution.environment.execution_name, method)
    return {"url": callback.url}


async def await_callback(frame: Frame, callback: Any, timeout: Any = limits.CALLBACK_TIMEOUT_S) -> Any:
    """The next request at an endpoint."""
    details = expecting.mapping("events.await_callback", "callback", callback)
    seconds = expecting.number("events.await_callback", "timeout", timeout)
    if seconds <= 0:
        raise value_error("events.await_callback: argument 'timeout' must be positive")
    url = details.get("url")
    endpoint = frame.execution.runtime.callbacks.by_url(url) if type(url) is str else None
    if endpoint is None:
        raise type_error("events.await_callback: argument 'callback' is no endpoint of this execution")
    return normal(await _next(frame, endpoint, seconds))


async def _next(frame: Frame, callback: Callback, seconds: float) -> dict[str, Any]:
    """Whichever comes first: a request or the timeout, by the execution's own clock."""
    if callback.received:
        return callback.received.popleft()
    arrival = asyncio.ensure_future(_arrival(callback))
    timer = asyncio.ensure_future(frame.execution.runtime.clock.sleep(seconds))
    callback.waiters += 1
    try:
        await asyncio.wait((arrival, timer), return_when=asyncio.FIRST_COMPLETED)
        if arrival.done():
            return arrival.result()
        raise failure("TimeoutError", f"no callback received within {seconds} seconds")
    finally:
        callback.waiters -= 1
        arrival.cancel()
        timer.cancel()


async def _arrival(callback: Callback) -> dict[str, Any]:
    while not callback.received:
        callback.arrival.clear()
        await callback.arrival.wait()
    return callback.received.popleft()


FUNCTIONS: list[LibraryFunction] = [
    *declare(
        "events",
        {"create_callback_endpoint": ("http_callback_method?", create_callback_endpoint)},
        CONTEXTUAL,
    ),
    *declare("events", {"await_callback": ("callback timeout?", await_callback)}, BLOCKING),
]
