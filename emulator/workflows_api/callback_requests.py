"""What a workflow sees of the HTTP request that arrived at one of its callbacks."""

import json
from typing import Any

from starlette.requests import Request

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.messages import Json


async def received(request: Request) -> Json:
    """``{body, headers, method, query, url}`` as ``events.await_callback`` returns it.

    A JSON body is decoded and other text is a string. Bytes cannot live in a workflow's variables, so a body that
    is no text is refused.
    """
    params = request.query_params
    return {
        "body": _body(await request.body(), request.headers.get("content-type", "")),
        "headers": {_canonical(name): value for name, value in request.headers.items()},
        "method": request.method,
        "query": {name: _one_or_all(params.getlist(name)) for name in params},
        "url": f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path,
    }


def _body(content: bytes, content_type: str) -> Any:
    if not content:
        return None
    media_type = content_type.split(";")[0].strip().lower()
    try:
        text = content.decode()
        if media_type == "application/json" or media_type.endswith("+json"):
            return json.loads(text)
    except ValueError as error:
        raise InvalidArgumentError(f"the callback's body is not readable: {error}") from error
    return text


def _canonical(header: str) -> str:
    return "-".join(part.capitalize() for part in header.split("-"))


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
