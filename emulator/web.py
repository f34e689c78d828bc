"""The HTTP server in the emulator's own event loop, on a socket that is bound already."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from emulator.loopback import LocalOnly


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the supervisor's affair."""
        yield


class WebServer:
    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        config = uvicorn.Config(
            LocalOnly(app, port=bound.getsockname()[1]),
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=3,
            timeout_keep_alive=75,
        )
        self._server, self._socket = _Server(config), bound
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; requests that came since the socket was bound are answered first."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Finish the requests under way (3 s at most) and close the port."""
        self._server.should_exit = True
        if self._task:
            await self._task
        self._socket.close()
