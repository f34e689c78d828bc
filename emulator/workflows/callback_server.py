"""Receives callbacks on loopback for a workflow that runs without the Executions API around it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from aiohttp import web

from emulator.workflows.library.times import rfc3339
from emulator.workflows.runtime.callbacks import CallbackRegistry

from . import limits

_REFUSALS = {
    400: ("INVALID_ARGUMENT", "the callback's body cannot be read"),
    404: ("NOT_FOUND", "there is no such callback, or its execution has ended"),
    405: ("UNIMPLEMENTED", "the callback was created for another method"),
    429: ("RESOURCE_EXHAUSTED", "the callback has a request that nobody has read yet"),
}


class CallbackServer:
    """Listens on a free port and hands requests to a registry, whose `base_url` it sets (`async with`)."""

    def __init__(self, registry: CallbackRegistry) -> None:
        self._registry = registry
        application = web.Application(client_max_size=limits.RESPONSE_BYTES)
        application.router.add_route("*", "/v1/{name:.+}", self._receive)
        self._runner = web.AppRunner(application, access_log=None)

    async def __aenter__(self) -> CallbackServer:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._registry.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            received = await _request(request)
        except ValueError:
            return _answer(400)
        return _answer(self._registry.deliver(request.match_info["name"], received, rfc3339(datetime.now(UTC))))


def _answer(status: int) -> web.Response:
    if status not in _REFUSALS:
        return web.json_response({}, status=status)
    name, message = _REFUSALS[status]
    return web.json_response({"error": {"code": status, "message": message, "status": name}}, status=status)


async def _request(request: web.Request) -> dict[str, Any]:
    """What `events.await_callback` returns as `http_request`; a body that is no text is refused."""
    return {
        "body": _body(await request.read(), request.content_type),
        "headers": {"-".join(map(str.capitalize, name.split("-"))): value for name, value in request.headers.items()},
        "method": request.method,
        "query": {name: _one_or_all(request.query.getall(name)) for name in request.query},
        "url": request.path_qs,
    }


def _body(content: bytes, kind: str) -> Any:
    if not content:
        return None
    text = content.decode()
    return json.loads(text) if kind == "application/json" or kind.endswith("+json") else text


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
