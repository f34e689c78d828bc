"""The front of a service: an HTTP proxy that admits authorized callers and streams both ways."""

import asyncio
import logging
import socket
from http import HTTPStatus

import httptools

from emulator import loopback
from emulator.identity.backend import Backend, BackendConnection
from emulator.identity.gate import Gate, unsigned

_log = logging.getLogger(__name__)

_MAX_HEAD = 64 * 1024
HEAD_TIMEOUT_S = 20.0
_LINGER_S = 5  # how long a refused caller may continue to send before the connection is closed
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"})
_INVALID = 'WWW-Authenticate: Bearer error="invalid_token"\r\n'


class Front:
    """Listens at a service's public address and forwards to the process behind it.

    Args:
        name: the service's name, for the log.
        head_timeout_s: seconds that a caller has to send a request's line and headers.
    """

    def __init__(self, name: str, gate: Gate, backend: Backend, *, head_timeout_s: float = HEAD_TIMEOUT_S) -> None:
        self.name, self.gate, self.backend, self.head_timeout_s = name, gate, backend, head_timeout_s
        self.callers: set[CallerConnection] = set()
        self._server: asyncio.Server | None = None

    async def open(self, bound: socket.socket) -> None:
        """Serve a socket that listens already."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: CallerConnection(self), sock=bound)

    def close(self) -> None:
        """Close the port and every connection."""
        if self._server:
            self._server.close()
        for caller in list(self.callers):
            caller.transport.abort()
        self.backend.close()


class CallerConnection(asyncio.Protocol):
    """A caller's connection; its requests are served one after the other."""

    transport: asyncio.Transport
    _deadline: asyncio.TimerHandle

    def __init__(self, front: Front) -> None:
        self._front = front
        self._parser = httptools.HttpRequestParser(self)
        self._backend: BackendConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._out: list[bytes] = []  # parts of the request that are not yet sent to the backend
        self._headers: list[tuple[bytes, bytes]] = []
        self._busy = self._deaf = self._hung_up = False
        self._reset()

    def _reset(self) -> None:
        self._method, self._url, self._head_size, self._in_head = b"", b"", 0, True
        self._headers.clear()
        self._chunked = self._keep_alive = self._complete = self._responding = False

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._front.callers.add(self)
        self._deadline = self._head_deadline()

    def connection_lost(self, _: Exception | None) -> None:
        self._front.callers.discard(self)
        self._deadline.cancel()
        if self._connecting:
            self._connecting.cancel()
        if self._backend:
            self._backend.abandon()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            _log.exception("front failed", extra={"service": self._front.name})
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the request could not be forwarded")
        except httptools.HttpParserUpgrade:
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "this protocol is not supported")
        except httptools.HttpParserError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, f"not HTTP: {error}")
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > _MAX_HEAD:
                self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large")
        self._flush()

    def pause_writing(self) -> None:
        if self._backend:
            self._backend.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._backend:
            self._backend.transport.resume_reading()

    # Called by the parser.

    def on_message_begin(self) -> None:
        if self._busy:  # no pipelining: the caller sends the request again on a new connection
            self._deaf = True
        elif not self._deaf:
            self._reset()
            self._busy = True
            self._deadline.cancel()
            self._deadline = self._head_deadline()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._deaf:
            return
        self._deadline.cancel()
        self._in_head, self._method = False, self._parser.get_method()
        self._keep_alive = self._parser.should_keep_alive()
        if self._parser.should_upgrade():
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "this protocol is not supported")
            return
        headers = [(name.lower(), value) for name, value in self._headers]
        if reason := loopback.refusal(headers, self._port()):
            self.refuse(HTTPStatus.FORBIDDEN, reason)
            return
        gate = self._front.gate
        tokens = [value for name, value in headers if name == b"authorization"]
        if refusal := gate.refusal(tokens):
            _log.warning("call refused", extra={"service": self._front.name, "why": refusal.reason})
            challenge = _INVALID if refusal.status == HTTPStatus.UNAUTHORIZED else ""
            self.refuse(refusal.status, refusal.reason, challenge)
            return
        self._out.append(self._head())
        self._connect()

    def on_body(self, body: bytes) -> None:
        if not self._deaf:
            self._out.append(b"%x\r\n%b\r\n" % (len(body), body) if self._chunked else body)

    def on_message_complete(self) -> None:
        if self._hung_up:
            self.transport.close()
        elif not self._deaf:
            if self._chunked:
                self._out.append(b"0\r\n\r\n")
            self._complete = True

    # Called by the backend.

    def forward(self, data: bytes) -> None:
        """Send the caller a part of the response."""
        self._responding = True
        self.transport.write(data)

    def response_ended(self, *, keep: bool) -> bool:
        """The response is complete; True if the request is too, so that the backend's connection can be kept."""
        self._backend = None
        complete, self._busy = self._complete, False
        if not keep or not complete or not self._keep_alive or self._deaf:
            self._hang_up()
        else:
            self.transport.resume_reading()
        return complete

    def backend_lost(self, error: Exception | None) -> None:
        """The backend's connection has closed: before, in the middle, or at the end of the response."""
        self._backend = None
        if not self._responding:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the service is not available")
        elif error:
            self.transport.abort()
        else:
            self._hang_up()

    def refuse(self, status: int, reason: str, challenge: str = "") -> None:
        """Respond instead of the service, and close the connection."""
        if self._hung_up:
            return
        if self._responding:  # too late
            self.transport.abort()
            return
        text = f"{status} {HTTPStatus(status).phrase}: {reason}\n".encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{challenge}Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + (b"" if self._method == b"HEAD" else text))
        self._hang_up()

    def _head_deadline(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(
            self._front.head_timeout_s, self.refuse, HTTPStatus.REQUEST_TIMEOUT, "the request's head is incomplete"
        )

    def _port(self) -> int:
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    def _head(self) -> bytes:
        """The request's head in the form that the service receives."""
        lines = [b"%b %b HTTP/%b" % (self._method, self._url, self._parser.get_http_version().encode())]
        for name, value in self._headers:
            lower = name.lower()
            if lower in _HOP_BY_HOP:
                continue
            if lower == b"authorization":
                value = unsigned(value)
            elif lower == b"transfer-encoding":
                self._chunked = True
            lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def _connect(self) -> None:
        if backend := self._front.backend.idle():
            self._join(backend)
            return
        self.transport.pause_reading()
        self._connecting = asyncio.create_task(self._open())

    async def _open(self) -> None:
        try:
            backend = await self._front.backend.connect()
        except OSError:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the service is not available")
            return
        finally:
            self._connecting = None
            self.transport.resume_reading()
        if self._hung_up:
            backend.abandon()
            return
        self._join(backend)
        self._flush()

    def _join(self, backend: BackendConnection) -> None:
        self._backend = backend
        backend.serve(self, bodiless=self._method == b"HEAD")

    def _flush(self) -> None:
        if self._backend and self._out:
            self._backend.transport.write(b"".join(self._out))
            self._out.clear()

    def _hang_up(self) -> None:
        """Close, but let a caller that is still sending read the response first, as closing now could discard it."""
        self._deaf = self._hung_up = True
        self._out.clear()
        if self._backend:
            self._backend.abandon()
            self._backend = None
        if self._complete or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write_eof()
        self.transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER_S, self.transport.close)
