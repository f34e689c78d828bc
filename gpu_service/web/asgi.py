"""Requests and responses directly on ASGI, as much of HTTP as the service needs."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from gpu_service.batching.order import Order
from gpu_service.errors import ServiceError, TooLarge, UnsupportedMediaType
from gpu_service.serving.predictions import Failure
from gpu_service.web import protocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Disconnected(Exception):  # noqa: N818  not an error to report
    """The client disconnected before its request was complete, or before its response."""


@dataclass(slots=True)
class Request:
    scope: Scope
    receive: Receive
    order: Order | None = None  # what was run for it, for its spans

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    def header(self, name: bytes) -> str | None:
        for key, value in self.scope["headers"]:
            if key == name:
                return str(value.decode("latin-1"))
        return None

    def check_json(self) -> None:
        """Checks that the body is declared as JSON, which a web page cannot do across sites without a preflight.

        Raises:
            UnsupportedMediaType
        """
        media_type = (self.header(b"content-type") or "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType("Send the header Content-Type: application/json.")

    async def body(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it has more than `limit` bytes.
            Disconnected: the client disconnected before its end.
        """
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

    async def send(self, send: Send) -> None:
        headers = [(b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body))]
        headers += [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json(value: object) -> Response:
    return Response(200, protocol.encode(value))


def failure(error: ServiceError) -> Response:
    return Response(error.status, protocol.encode(Failure.of(error)), headers=error.headers)
