"""The little of HTTP that the service needs, straight on ASGI."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpu_service import protocol
from gpu_service.errors import ServiceError, TooLarge

if TYPE_CHECKING:
    from gpu_service.batching.batcher import Order

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Disconnected(Exception):  # noqa: N818  no error of ours
    """The client went away before its request was complete."""


@dataclass(slots=True)
class Request:
    scope: Scope
    receive: Receive
    order: "Order | None" = None  # what came of it, for its trace

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

    async def body(self, limit: int) -> bytes:
        """All of the body.

        Raises:
            TooLarge: it has more than `limit` bytes.
            Disconnected: it never came to its end.
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
            raise TooLarge(f"A body holds at most {limit} bytes.")
        return body if len(parts) == 1 else b"".join(parts)

    async def disconnected(self) -> None:
        """Returns when the client goes away."""
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


def json(value: object, status: int = 200) -> Response:
    return Response(status, protocol.encode(value))


def failure(error: ServiceError) -> Response:
    body = protocol.encode({"error": {"code": error.code, "message": error.message}})
    return Response(error.status, body, headers=error.headers)
