"""The emulator's HTTP server, in its event loop and on sockets that are already bound."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from emulator.loopback import LocalOnly

HEAD_TIMEOUT_S = 20.0
_MAX_HEAD_BYTES = 64 * 1024
_LINGER_S = 2.0  # between a refusal and the close, which would destroy what the client has not yet read of it


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The supervisor handles signals."""
        yield


class _Protocol(HttpToolsProtocol):
    """Bounds the size of a request's head and the time to send it, which uvicorn does not."""

    def __init__(self, *arguments: Any, head_timeout_s: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timeout_s = head_timeout_s
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head, self._head_bytes = True, 0
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._start_deadline()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._cancel_deadline()
        super().on_headers_complete()

    def _start_deadline(self) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(self._head_timeout_s, self._time_out)

    def _time_out(self) -> None:
        if self._is_responding():  # to an earlier request of this connection
            self._start_deadline()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _cancel_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _refuse(self, status: HTTPStatus) -> None:
        if self._is_responding():
            self.transport.abort()
        elif not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            self.transport.write(head.encode())
            self.transport.write_eof()
            self._is_refused = True
            self._cancel_deadline()
            self._deadline = self.loop.call_later(_LINGER_S, self.transport.close)

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


class WebServer:
    """Serves an application on bound sockets; the port of a request is in its scope, `server`.

    Args:
        head_timeout_s: seconds that a client has to send a request's line and headers.
    """

    def __init__(self, app: ASGIApp, *bound: socket.socket, head_timeout_s: float = HEAD_TIMEOUT_S) -> None:
        config = uvicorn.Config(
            LocalOnly(app),
            http=functools.partial(_Protocol, head_timeout_s=head_timeout_s),  # type: ignore[arg-type]
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=3,
            timeout_keep_alive=75,
        )
        self._server, self._sockets = _Server(config), list(bound)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve, beginning with requests that arrived since the sockets were bound."""
        self._task = asyncio.create_task(self._server.serve(sockets=self._sockets))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Finish the requests in progress (3 s at most) and close the ports."""
        self._server.should_exit = True
        if self._task:
            await self._task
        for bound in self._sockets:
            bound.close()
