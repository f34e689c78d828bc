"""The fields of a form, sent by htmx as a URL-encoded body."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from event_inference import InputError

_MOST_BYTES = 1 << 20


Fields = list[tuple[str, str]]
Answer = Callable[[Request, Fields], Response]


def posted(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a form, whose answer may wait for the pipeline: it runs in a thread of its own."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request, await fields(request))

    return endpoint


async def fields(request: Request) -> Fields:
    """The fields in their order.

    Raises:
        InputError: the body is too long, or not a form.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise InputError("The form is too long; choose fewer inputs, or filter them.")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=20_000)
    except ValueError as error:
        raise InputError("The form cannot be read.") from error
