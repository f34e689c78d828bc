"""A client's connection: bounds the size of a request's head and the time to send it, which uvicorn does not."""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 20.0
MAX_HEAD_BYTES = 64 << 10


class Connection(HttpToolsProtocol):
    """Refuses what is too large with 431 and what is too slow with 408, and closes.

    The parser keeps whatever is not the body: the head, and headers after a chunked body. So what arrives counts until
    a head or a part of a body is complete.
    """

    def __init__(self, *arguments: Any, head_timeout_s: float = HEAD_TIMEOUT_S, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timeout_s = head_timeout_s
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._begun = self._advanced = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._advanced = False
        super().data_received(data)
        self._head_bytes = 0 if self._advanced else self._head_bytes + len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        self._start_deadline()

    def on_headers_complete(self) -> None:
        self._advanced = True
        self._cancel_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._advanced = True
        super().on_message_complete()

    def _start_deadline(self) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(self._head_timeout_s, self._time_out)

    def _cancel_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()

    def _time_out(self) -> None:
        if self._is_responding():  # to an earlier request of this connection
            self._start_deadline()
        elif self._begun:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        if self._is_responding():
            self.transport.abort()
        elif not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
            self.transport.close()

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
