"""Requests and responses directly on ASGI, as much of HTTP as the service needs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from gpu_service.batching.order import Order
from gpu_service.errors import TooLarge, UnsupportedMediaType
from gpu_service.web import compression, protocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FEW_BYTES = 4096  # whose content is decompressed in milliseconds; more is decompressed in a thread
MANY_BYTES = 64 << 10  # that take a millisecond to compress; more are compressed in a thread


class Disconnected(Exception):  # noqa: N818  not an error to report
    """The client disconnected before its request was complete, or before its response."""


@dataclass(slots=True)
class Request:
    scope: Scope
    receive: Receive
    order: Order | None = None  # what was run for it, for its spans
    is_received: bool = False  # its body was read to the end

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def raw_path(self) -> str:
        """As the client encoded it."""
        return str(self.scope["raw_path"].decode("ascii"))

    def header(self, name: bytes) -> str | None:
        for key, value in self.scope["headers"]:
            if key == name:
                return str(value.decode("latin-1"))
        return None

    def headers(self, name: bytes) -> list[str]:
        """All values of a header that may be repeated."""
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key == name]

    def check_json(self) -> None:
        """Checks that the body is declared as JSON, which a web page cannot do across sites without a preflight.

        Raises:
            UnsupportedMediaType
        """
        media_type = (self.header(b"content-type") or "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType("Send the header Content-Type: application/json.")

    async def body(self, limit: int) -> bytes:
        """The whole body, decompressed.

        Raises:
            TooLarge: it has more than `limit` bytes, or says so: then none are read.
            UnsupportedEncoding, MalformedRequest: it is compressed in a way that is not supported, or damaged.
            Disconnected: the client disconnected before its end.
        """
        length = self.header(b"content-length") or ""
        if length.isdecimal() and (len(length) > 18 or int(length) > limit):
            raise TooLarge(f"The body may have at most {limit} bytes.")
        coding = compression.request_coding(self.headers(b"content-encoding"))
        body = await self._received(limit)
        if coding is None:
            return body
        if len(body) <= FEW_BYTES:
            return compression.decompress(body, coding, limit)
        return await asyncio.to_thread(compression.decompress, body, coding, limit)

    async def _received(self, limit: int) -> bytes:
        message = await self.receive()
        body: bytes = message.get("body", b"")
        parts = [body]
        size = len(body)
        while message["type"] == "http.request" and message.get("more_body"):
            message = await self.receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                break
        if message["type"] == "http.disconnect":
            raise Disconnected
        if size > limit:
            raise TooLarge(f"The body may have at most {limit} bytes.")
        self.is_received = True
        return body if len(parts) == 1 else b"".join(parts)

    async def disconnected(self) -> None:
        """Returns when the client disconnects."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


@dataclass(slots=True)
class Response:
    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def fit(self, request: Request) -> None:
        """Puts a large body in the coding that the client accepts.

        A client that waits for `100 Continue` may not send a body that was refused, so its connection is closed.
        """
        if len(self.body) >= compression.MIN_BYTES and (
            coding := compression.response_coding(request.headers(b"accept-encoding"))
        ):
            self.headers = {**self.headers, "content-encoding": coding, "vary": "accept-encoding"}
            if len(self.body) <= MANY_BYTES:
                self.body = compression.compress(self.body, coding)
            else:
                self.body = await asyncio.to_thread(compression.compress, self.body, coding)
        if not request.is_received and request.header(b"expect"):
            self.headers = {**self.headers, "connection": "close"}

    async def send(self, send: Send) -> None:
        headers = [(b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body))]
        headers += [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, protocol.encode(value), headers=headers or {})
