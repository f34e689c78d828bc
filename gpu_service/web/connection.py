"""A client's connection: what uvicorn leaves to do about large, slow and upgraded requests."""

import asyncio
from http import HTTPStatus
from typing import Any, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 20.0
MAX_HEAD_BYTES = 64 << 10
DELIMITERS = (b"content-length", b"transfer-encoding")  # never both, which the parser refuses
MAX_UNREAD_BYTES = 64 << 20  # that a client may still send of a body whose request was already refused
LINGER_S = 2.0  # between a refusal and the close, which would destroy what the client has not yet read of it


class BodyTimeout(NamedTuple):
    """A body may take `grace_s`, and longer while it arrives at `rate` bytes a second, but no more than `total_s`."""

    grace_s: float = 20.0
    rate: float = 4096.0
    total_s: float = 300.0  # Cloud Run's default for a whole request


BODY_TIMEOUT = BodyTimeout()


class Parser(httptools.HttpRequestParser):
    """Goes on after a request to upgrade to another protocol, such as Java's client sends for HTTP/2.

    httptools takes the head of such a request for all of it, and its body for the other protocol. Since the service
    upgrades to none, the body is parsed behind a head that says only how long it is.
    """

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        self._connection = connection

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # asyncio passes bytes alone
        while data:
            try:
                super().feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                (size,) = upgrade.args
                data = self._connection.resume() + data[size:]
            else:
                return


class Connection(HttpToolsProtocol):
    """Refuses a head that is too large with 431 and a request that is too slow with 408, and then closes.

    A close while the client still sends resets the connection, and the client may never read the refusal. So the
    connection lingers: what arrives is thrown away until the client closes.

    The parser keeps whatever is not the body: the head, and headers after a chunked body. So what arrives counts until
    a head or a part of a body is complete.
    """

    def __init__(
        self,
        *arguments: Any,
        head_timeout_s: float = HEAD_TIMEOUT_S,
        body_timeout: BodyTimeout = BODY_TIMEOUT,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.parser = Parser(self)
        self._missing_body = b""  # how the body behind an upgrade is delimited, as a header
        self._resuming = False
        self._head_timeout_s = head_timeout_s
        self._body_timeout = body_timeout
        self._deadline: asyncio.TimerHandle | None = None  # of the head or the body that is arriving
        self._head_bytes = 0
        self._body_bytes = self._unread_bytes = 0
        self._body_began = 0.0
        self._begun = self._advanced = self._in_body = self._lingers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            self._throw_away(len(data))
            return
        self._advanced = False
        super().data_received(data)
        self._head_bytes = 0 if self._advanced else self._head_bytes + len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._in_body and self._deadline is None:
            self._body_began = self.loop.time()
            self._deadline = self.loop.call_later(self._body_timeout.grace_s, self._check_body)

    def resume(self) -> bytes:
        """The head behind which the body of a request to upgrade is parsed; empty if it has no body."""
        if not self._missing_body:
            return b""
        head = b"POST / HTTP/1.1\r\n" + self._missing_body + b"\r\n\r\n"
        self._missing_body, self._resuming = b"", True
        return head

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        super().on_message_begin()
        self._begun = True
        self._start_deadline()

    def on_url(self, url: bytes) -> None:
        if not self._resuming:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._resuming:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._resuming:
            self._resuming = False
            return
        if self.parser.should_upgrade():
            self._missing_body = next((b": ".join(header) for header in self.headers if header[0] in DELIMITERS), b"")
        self._advanced = self._in_body = True
        self._body_bytes = self._unread_bytes = 0
        self._cancel_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._advanced = True
        self._body_bytes += len(body)
        if self.cycle.response_complete:
            self._throw_away(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._missing_body:
            return
        self._advanced = True
        self._in_body = False
        self._cancel_deadline()
        super().on_message_complete()

    def _start_deadline(self) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(self._head_timeout_s, self._time_out_head)

    def _cancel_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _time_out_head(self) -> None:
        if self._is_responding():  # to an earlier request of this connection
            self._start_deadline()
        elif self._begun:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _check_body(self) -> None:
        if self.pipeline:  # nothing is read before the response to an earlier request
            self._body_began = self.loop.time()
        allowed = self._body_timeout.grace_s + self._body_bytes / self._body_timeout.rate
        deadline = self._body_began + min(allowed, self._body_timeout.total_s)
        if self.loop.time() < deadline:
            self._deadline = self.loop.call_at(deadline, self._check_body)
        elif self.cycle.response_started:
            self.transport.close()
        else:
            self._close_with(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        if self._is_responding():
            self.transport.abort()
        else:
            self._close_with(status)

    def _close_with(self, status: HTTPStatus) -> None:
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
            self.transport.write_eof()
            self._linger()

    def _linger(self) -> None:
        self._lingers = True
        self._cancel_deadline()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.close)
        if self._is_responding():  # the app, which waits for the rest of the body
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _throw_away(self, count: int) -> None:
        self._unread_bytes += count
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self.transport.close()

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
