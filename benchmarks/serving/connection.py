"""A minimal HTTP/1.1 client for load generation: a keep-alive connection with one request in flight."""

import asyncio
import time
from typing import NamedTuple, cast


class Response(NamedTuple):
    status: int
    head: bytes  # lower-cased
    body: bytes

    @property
    def retry_after(self) -> float | None:
        value = header(self.head, b"retry-after")
        return float(value) if value and value.isdigit() else None


def request_bytes(path: str, body: bytes, host: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """Reconnects if the server has closed; raises ConnectionError if it closes before the response is complete."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[Response] | None = None
        self.received = b""
        self.last_used = 0.0

    async def post(self, request: bytes) -> Response:
        if self.transport is None or self.transport.is_closing():
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self, self.host, self.port)
        assert self.transport is not None
        self.received = b""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            response = await self.waiting
        except asyncio.CancelledError:
            self.close()  # a late response must not be read as the next one
            raise
        finally:
            self.waiting = None
        self.last_used = time.monotonic()
        if header(response.head, b"connection") == b"close" or response.head.startswith(b"http/1.0"):
            self.close()
        return response

    def close(self) -> None:
        if self.transport:
            self.transport.close()
            self.transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's class is not a subclass

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.settle(closed=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.settle(closed=True)
        self.transport = None
        if self.waiting and not self.waiting.done():
            self.waiting.set_exception(ConnectionError(f"closed after {len(self.received)} bytes of an answer: {exc}"))

    def settle(self, *, closed: bool) -> None:
        if self.waiting and not self.waiting.done() and (response := parse(self.received, closed=closed)):
            self.waiting.set_result(response)


def parse(received: bytes, *, closed: bool) -> Response | None:
    """The response once it is complete; `closed` means that no more bytes follow."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    head = head.lower()
    status = int(head[9:12])
    if length := header(head, b"content-length"):
        return Response(status, head, body) if len(body) >= int(length) else None
    if header(head, b"transfer-encoding") == b"chunked":
        return Response(status, head, unchunk(body)) if body.endswith(b"0\r\n\r\n") else None
    return Response(status, head, body) if closed else None


def header(head: bytes, name: bytes) -> bytes | None:
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return None
    end = head.find(b"\r\n", start + 2)
    return head[start + len(name) + 3 : end if end >= 0 else len(head)].strip()


def unchunk(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        parts.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(parts)
