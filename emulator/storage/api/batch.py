"""Batches: up to a hundred requests of the JSON API in one request, each with its own response."""

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Scope

from emulator.storage.api.multipart_bodies import Headers, MultipartParser, boundary_of
from emulator.storage.api.requests import small_body
from emulator.storage.errors import InvalidError

_MAX_CALLS = 100
_MAX_BODY = 10 << 20


@dataclass(frozen=True)
class _Call:
    id: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


async def batch(request: Request) -> Response:
    """POST /batch/storage/v1 with a multipart/mixed body of application/http parts."""
    parser = MultipartParser(boundary_of(request.headers.get("content-type", "")))
    parts: list[tuple[Headers, bytearray]] = []
    for piece in parser.feed(await small_body(request, _MAX_BODY)):
        if isinstance(piece, Headers):
            parts.append((piece, bytearray()))
        else:
            parts[-1][1].extend(piece)
    parser.close()
    if len(parts) > _MAX_CALLS:
        raise InvalidError(f"The batch has {len(parts)} calls; the limit is {_MAX_CALLS}.")
    calls = [_parse(headers, bytes(data)) for headers, data in parts]
    boundary = f"batch_{secrets.token_urlsafe(16)}"
    responses = [await _respond(request, call) for call in calls]
    content = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), response) for response in responses)
    return Response(
        content + b"--%s--\r\n" % boundary.encode(), 200, media_type=f"multipart/mixed; boundary={boundary}"
    )


def _parse(part: Headers, data: bytes) -> _Call:
    head, _, body = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    line, _, headers = head.partition(b"\n")
    words = line.decode("latin-1").split(" ")
    if len(words) < 2 or not words[0].isalpha():
        raise InvalidError("Failed to parse a call of the batch: its request line is malformed.")
    values = Headers.parse(headers).values
    return _Call(part.values.get("content-id", ""), words[0].upper(), words[1], values, body)


async def _respond(request: Request, call: _Call) -> bytes:
    status, headers, body = await _perform(request, call)
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    lines = [
        "Content-Type: application/http",
        f"Content-ID: <response-{call.id.strip('<>')}>",
        "",
        f"HTTP/1.1 {status} {phrase}",
        *(f"{name.title()}: {value}" for name, value in headers.items()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


async def _perform(request: Request, call: _Call) -> tuple[int, dict[str, str], bytes]:
    """Send one call through the application."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await request.app(_scope(request, call), receive, send)
    start = messages[0]
    body = b"".join(message.get("body", b"") for message in messages[1:])
    response_headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return start["status"], response_headers, body


def _scope(request: Request, call: _Call) -> Scope:
    """The ASGI scope of a call; host and authorization are those of the batch unless the call has its own."""
    target = urlsplit(call.target)
    if "/upload/" in target.path or "alt=media" in target.query.split("&"):
        raise InvalidError("Uploads and downloads of media cannot be batched.")
    outer = {name: value for name, value in request.headers.items() if name in {"host", "authorization"}}
    headers = {**outer, **call.headers, "content-length": str(len(call.body))}
    return {
        "type": "http",
        "asgi": request.scope.get("asgi", {"version": "3.0"}),
        "http_version": "1.1",
        "method": call.method,
        "scheme": request.scope.get("scheme", "http"),
        "path": unquote(target.path),
        "raw_path": target.path.encode("latin-1", "replace"),
        "query_string": target.query.encode("latin-1", "replace"),
        "root_path": request.scope.get("root_path", ""),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "server": request.scope.get("server"),
        "client": request.scope.get("client"),
    }
