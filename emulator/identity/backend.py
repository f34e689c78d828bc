"""The process behind a front: connections to it, kept for the next request while that is safe."""

import asyncio
from typing import Protocol

import httptools

from emulator.ports import HOST

_KEPT_S = 1.0  # less than servers keep an idle connection (gunicorn: 2 s), so that none closes under a request


class Asking(Protocol):
    """Who waits for an answer."""

    def pass_on(self, data: bytes) -> None: ...
    def answered(self, *, keep: bool) -> bool: ...
    def broken_off(self, error: Exception | None) -> None: ...
    @property
    def transport(self) -> asyncio.Transport: ...


class Backend:
    """Where a service's process listens, and the connections there that wait for a request."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[tuple[float, Answering]] = []

    def idle(self) -> "Answering | None":
        """A connection that was in use a moment ago, if there is one."""
        while self._idle:
            since, kept = self._idle.pop()
            if asyncio.get_running_loop().time() - since < _KEPT_S and not kept.transport.is_closing():
                return kept
            kept.transport.close()
        return None

    async def connect(self) -> "Answering":
        """A new connection.

        Raises:
            OSError: nobody listens.
        """
        _, made = await asyncio.get_running_loop().create_connection(lambda: Answering(self), HOST, self.port)
        return made

    def keep(self, connection: "Answering") -> None:
        self._idle.append((asyncio.get_running_loop().time(), connection))

    def forget(self, connection: "Answering") -> None:
        self._idle = [entry for entry in self._idle if entry[1] is not connection]

    def close(self) -> None:
        """Close what waits."""
        for _, kept in self._idle:
            kept.transport.close()
        self._idle.clear()


class Answering(asyncio.Protocol):
    """A connection to the process: passes an answer on as it comes, and reads in it only where it ends."""

    transport: asyncio.Transport

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._caller: Asking | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._bodiless = self._done = self._keep = False

    def serve(self, caller: Asking, *, bodiless: bool) -> None:
        """The next answer is for this caller; `bodiless` when it asked with HEAD."""
        self._caller, self._bodiless = caller, bodiless
        self._parser = httptools.HttpResponseParser(self)
        self._done = self._keep = False
        self.transport.resume_reading()

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self._caller = None
        self.transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._backend.forget(self)
        caller, self._caller = self._caller, None
        if caller:
            caller.broken_off(exc)

    def data_received(self, data: bytes) -> None:
        caller = self._caller
        if caller is None:  # nobody has asked
            self.transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.transport.abort()  # connection_lost tells the caller
            return
        caller.pass_on(data)
        if self._done:
            self._finish(caller)

    def pause_writing(self) -> None:
        if self._caller:
            self._caller.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._caller:
            self._caller.transport.resume_reading()

    # What the parser calls.

    def on_headers_complete(self) -> None:
        self._keep = self._parser.should_keep_alive() and not self._bodiless
        self._done = self._done or (self._bodiless and self._is_final())

    def on_message_complete(self) -> None:
        self._done = self._done or self._is_final()

    def _is_final(self) -> bool:
        return self._parser.get_status_code() >= 200  # 100 Continue and its like come before the answer

    def _finish(self, caller: Asking) -> None:
        self._caller = None
        quiet = not self.transport.is_closing() and not self.transport.get_write_buffer_size()
        if caller.answered(keep=self._keep) and self._keep and quiet:
            self._backend.keep(self)
        else:
            self.transport.abort()
