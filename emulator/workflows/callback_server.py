"""Receives the callbacks of a workflow that runs without the Executions API."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiohttp import web

from emulator.workflows import limits
from emulator.workflows.library.time import rfc3339
from emulator.workflows.runtime.callbacks import CallbackRegistry, http_request

_REFUSALS = {
    400: ("INVALID_ARGUMENT", "the callback's body is neither JSON nor text"),
    404: ("NOT_FOUND", "there is no such callback, or its execution has ended"),
    405: ("UNIMPLEMENTED", "the callback was created for a different method"),
    429: ("RESOURCE_EXHAUSTED", "the callback has a request that the execution has not read yet"),
}


class CallbackServer:
    """Listens on a free loopback port and hands requests to a registry, whose `base_url` it sets (`async with`)."""

    def __init__(self, registry: CallbackRegistry) -> None:
        self._registry = registry
        application = web.Application(client_max_size=limits.RESPONSE_BYTES)
        application.router.add_route("*", "/v1/{name:.+}", self._receive)
        self._runner = web.AppRunner(application, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._registry.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            received = http_request(
                request.method, request.path_qs, request.query.items(), request.headers.items(), body
            )
        except ValueError:
            return _response(400)
        return _response(self._registry.deliver(request.match_info["name"], received, rfc3339(datetime.now(UTC))))


def _response(status: int) -> web.Response:
    if status not in _REFUSALS:
        return web.json_response({}, status=status)
    name, message = _REFUSALS[status]
    return web.json_response({"error": {"code": status, "message": message, "status": name}}, status=status)
