"""The process behind a front, and the connections to it that are kept for the next request."""

import asyncio
from typing import Protocol

import httptools

from emulator.ports import HOST

_KEPT_S = 1.0  # shorter than servers keep an idle connection (gunicorn: 2 s), so that none is closed during a request


class Caller(Protocol):
    """A connection that waits for a response."""

    def forward(self, data: bytes) -> None: ...
    def response_ended(self, *, keep: bool) -> bool: ...
    def backend_lost(self, error: Exception | None) -> None: ...
    @property
    def transport(self) -> asyncio.Transport: ...


class Backend:
    """A service's process, and the idle connections to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[tuple[float, BackendConnection]] = []

    def idle(self) -> "BackendConnection | None":
        """A connection that was used a moment ago, None if there is none."""
        while self._idle:
            since, connection = self._idle.pop()
            if asyncio.get_running_loop().time() - since < _KEPT_S and not connection.transport.is_closing():
                return connection
            connection.transport.close()
        return None

    async def connect(self) -> "BackendConnection":
        """A new connection.

        Raises:
            OSError: the process does not listen.
        """
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: BackendConnection(self), HOST, self.port)
        return connection

    def keep(self, connection: "BackendConnection") -> None:
        self._idle.append((asyncio.get_running_loop().time(), connection))

    def forget(self, connection: "BackendConnection") -> None:
        self._idle = [entry for entry in self._idle if entry[1] is not connection]

    def close(self) -> None:
        """Close the idle connections."""
        for _, connection in self._idle:
            connection.transport.close()
        self._idle.clear()


class BackendConnection(asyncio.Protocol):
    """A connection to the process: forwards a response as it arrives, and parses it only to find its end."""

    transport: asyncio.Transport

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._caller: Caller | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._bodiless = self._done = self._keep = False

    def serve(self, caller: Caller, *, bodiless: bool) -> None:
        """Forward the next response to a caller; `bodiless` if the request is HEAD."""
        self._caller, self._bodiless = caller, bodiless
        self._parser = httptools.HttpResponseParser(self)
        self._done = self._keep = False
        self.transport.resume_reading()

    def abandon(self) -> None:
        """Close the connection because the caller has gone."""
        self._caller = None
        self.transport.abort()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._backend.forget(self)
        caller, self._caller = self._caller, None
        if caller:
            caller.backend_lost(exc)

    def data_received(self, data: bytes) -> None:
        caller = self._caller
        if caller is None:  # data without a request
            self.transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.transport.abort()  # connection_lost tells the caller
            return
        caller.forward(data)
        if self._done:
            self._finish(caller)

    def pause_writing(self) -> None:
        if self._caller:
            self._caller.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._caller:
            self._caller.transport.resume_reading()

    # Called by the parser.

    def on_headers_complete(self) -> None:
        self._keep = self._parser.should_keep_alive() and not self._bodiless
        self._done = self._done or (self._bodiless and self._is_final())

    def on_message_complete(self) -> None:
        self._done = self._done or self._is_final()

    def _is_final(self) -> bool:
        return self._parser.get_status_code() >= 200  # interim responses such as 100 Continue come first

    def _finish(self, caller: Caller) -> None:
        self._caller = None
        quiet = not self.transport.is_closing() and not self.transport.get_write_buffer_size()
        if caller.response_ended(keep=self._keep) and self._keep and quiet:
            self._backend.keep(self)
        else:
            self.transport.abort()
