"""The fields of a form, sent by htmx as a URL-encoded body."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from event_inference import InputError

_MOST_BYTES = 1 << 20


async def fields(request: Request) -> list[tuple[str, str]]:
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
