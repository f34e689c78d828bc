"""What handlers read from a request: names in its path, parameters, preconditions, a JSON body, a stream of bytes."""

import json
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request

from emulator.storage.contents.checksums import Checksums
from emulator.storage.contents.files import BLOCK
from emulator.storage.errors import InvalidError, LengthRequiredError, ParseError, TooLargeError
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import Fields
from emulator.storage.store import Store

MAX_DOCUMENT = 1 << 20
MAX_OBJECT = 5 << 40


def store_of(request: Request) -> Store:
    return cast(Store, request.app.state.store)


def base_url(request: Request) -> str:
    """Scheme, host and port as the client addressed them."""
    host = request.headers.get("host", "127.0.0.1")
    return f"{request.url.scheme}://{host}{request.scope.get('root_path', '')}"


def segment(request: Request, name: str) -> str:
    """A decoded part of the path.

    Raises:
        InvalidError: It is not UTF-8.
    """
    try:
        return unquote_to_bytes(request.path_params[name].encode("latin-1")).decode()
    except UnicodeDecodeError as error:
        raise InvalidError("Names in the path must be UTF-8, percent-encoded.", code="InvalidURI") from error


def whole_number(parameters: Mapping[str, str], name: str) -> int | None:
    """A parameter that is a non-negative 64-bit integer; None when it is absent."""
    text = parameters.get(name)
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) >= 1 << 63:
        raise InvalidError(f"Invalid value for: {name}: '{text}' is not a whole number.")
    return int(text)


def flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


def preconditions(request: Request, *, source: bool = False) -> Preconditions:
    """The if…Match parameters and headers; with `source` those of a copy's source."""
    prefix = "ifSource" if source else "if"
    values = dict(request.query_params.multi_items())
    return Preconditions(
        whole_number(values, f"{prefix}GenerationMatch"),
        whole_number(values, f"{prefix}GenerationNotMatch"),
        whole_number(values, f"{prefix}MetagenerationMatch"),
        whole_number(values, f"{prefix}MetagenerationNotMatch"),
        None if source else _tags(request, "if-match"),
        None if source else _tags(request, "if-none-match"),
    )


def _tags(request: Request, header: str) -> frozenset[str] | None:
    value = request.headers.get(header)
    return None if value is None else frozenset(tag.strip().strip('"') for tag in value.split(","))


def promised_checksums(request: Request) -> Checksums:
    """The checksums of the body that the headers promise."""
    by_hash = Checksums.parse(",".join(request.headers.getlist("x-goog-hash")))
    return by_hash.merged(Checksums(None, request.headers.get("content-md5")))


async def document(request: Request) -> Fields:
    """The JSON object in the body; empty where there is no body.

    Raises:
        ParseError: It is not a JSON object.
        TooLargeError: It exceeds 1 MiB.
    """
    return parsed_document(await small_body(request, MAX_DOCUMENT))


def parsed_document(data: bytes) -> Fields:
    try:
        value: Any = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ParseError("Parse Error") from error
    if not isinstance(value, dict):
        raise ParseError("Parse Error: expected a JSON object.")
    return value


async def small_body(request: Request, limit: int) -> bytes:
    """The whole body, which may not exceed `limit` bytes."""
    data = bytearray()
    async for block in body(request):
        data += block
        if len(data) > limit:
            raise TooLargeError(f"The request body exceeds {limit} bytes.")
    return bytes(data)


def require_length(request: Request) -> None:
    """Raises LengthRequiredError for a body of unstated length, TooLargeError for one that no object can hold."""
    length = whole_number(request.headers, "content-length")
    if length is None and "transfer-encoding" not in request.headers:
        raise LengthRequiredError
    if length is not None and length > MAX_OBJECT:
        raise TooLargeError("Your request would create an object exceeding the maximum size of 5 TiB.")


async def body(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks of about 1 MiB, without a transfer's gzip."""
    if request.headers.get("content-encoding", "").lower() != "gzip":
        async for block in raw_body(request):
            yield block
        return
    inflater = zlib.decompressobj(31)
    try:
        async for block in raw_body(request):
            data = inflater.decompress(block, BLOCK)
            while data:
                yield data
                data = inflater.decompress(inflater.unconsumed_tail, BLOCK)
    except zlib.error as error:
        raise InvalidError("The request body is not gzip, as Content-Encoding says.") from error
    if not inflater.eof:
        raise InvalidError("The gzip data of the request body ends early.")


async def raw_body(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks of about 1 MiB; before a broken connection is reported, what had arrived is yielded."""
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) >= BLOCK:
                yield bytes(data)
                data.clear()
    except ClientDisconnect:
        if data:
            yield bytes(data)
        raise
    if data:
        yield bytes(data)
