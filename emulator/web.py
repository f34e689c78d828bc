"""The HTTP server, in the emulator's event loop and on a socket that is already bound."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the supervisor."""
        yield


class WebServer:
    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=3, timeout_keep_alive=75
        )
        self._server, self._socket = _Server(config), bound
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve, beginning with the requests that have arrived since the socket was bound."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Finish open requests, for at most 3 s, and close the port."""
        self._server.should_exit = True
        if self._task:
            await self._task
        self._socket.close()
