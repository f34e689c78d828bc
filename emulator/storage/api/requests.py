"""Reads requests: names in the path, parameters, preconditions, JSON bodies, streams of bytes."""

import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from emulator import json_bodies
from emulator.storage.contents.checksums import Checksums
from emulator.storage.contents.files import BLOCK, Content, Writer
from emulator.storage.errors import InvalidError, LengthRequiredError, ParseError, TooLargeError
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import Fields
from emulator.storage.store import Store

MAX_DOCUMENT = 1 << 20
_MAX_OBJECT = 5 << 40


def store_of(request: Request) -> Store:
    return cast(Store, request.app.state.store)


def base_url(request: Request) -> str:
    """Scheme, host and port as in the client's request."""
    host = request.headers.get("host", "127.0.0.1")
    return f"{request.url.scheme}://{host}{request.scope.get('root_path', '')}"


def segment(request: Request, name: str) -> str:
    """A decoded part of the path.

    Raises:
        InvalidError: it is not UTF-8.
    """
    try:
        return unquote_to_bytes(request.path_params[name].encode("latin-1")).decode()
    except UnicodeDecodeError as error:
        raise InvalidError("Names in the path must be UTF-8, percent-encoded.", code="InvalidURI") from error


def target(request: Request) -> tuple[str, str]:
    """The bucket and the object in the path."""
    return segment(request, "bucket"), segment(request, "object")


def whole_number(parameters: Mapping[str, str], name: str) -> int | None:
    """A parameter that is a non-negative 64-bit integer; None if it is absent."""
    text = parameters.get(name)
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) >= 1 << 63:
        raise InvalidError(f"Invalid value for: {name}: '{text}' is not a whole number.")
    return int(text)


def flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


def preconditions(request: Request, *, source: bool = False) -> Preconditions:
    """The if…Match parameters and headers, or with `source` those for the source of a copy."""
    prefix = "ifSource" if source else "if"
    values = dict(request.query_params.multi_items())
    return Preconditions(
        whole_number(values, f"{prefix}GenerationMatch"),
        whole_number(values, f"{prefix}GenerationNotMatch"),
        whole_number(values, f"{prefix}MetagenerationMatch"),
        whole_number(values, f"{prefix}MetagenerationNotMatch"),
        None if source else tags(request, "if-match"),
        None if source else tags(request, "if-none-match"),
    )


def tags(request: Request, header: str) -> frozenset[str] | None:
    """The entity tags in If-Match or If-None-Match; None without the header."""
    value = request.headers.get(header)
    return None if value is None else frozenset(tag.strip().strip('"') for tag in value.split(","))


def expected_checksums(request: Request) -> Checksums:
    """The checksums of the body in the headers."""
    by_hash = Checksums.parse(",".join(request.headers.getlist("x-goog-hash")))
    return by_hash.merged(Checksums(None, request.headers.get("content-md5")))


async def document(request: Request) -> Fields:
    """The JSON object in the body; an empty one if there is no body.

    Raises:
        ParseError: the body is not a JSON object.
        TooLargeError: the body exceeds 1 MiB.
    """
    return parsed_document(await small_body(request, MAX_DOCUMENT))


def parsed_document(data: bytes) -> Fields:
    try:
        value: Any = json_bodies.decode(data) if data.strip() else {}
    except json_bodies.UnusableError as error:
        raise InvalidError(f"Invalid request body: {error}.") from error
    except ValueError as error:
        raise ParseError("Parse Error") from error
    if not isinstance(value, dict):
        raise ParseError("Parse Error: expected a JSON object.")
    return value


async def small_body(request: Request, limit: int) -> bytes:
    """The whole body; TooLargeError if it exceeds `limit` bytes."""
    data = bytearray()
    async for block in body(request):
        data += block
        if len(data) > limit:
            raise TooLargeError(f"The request body exceeds {limit} bytes.")
    return bytes(data)


def require_length(request: Request) -> None:
    """Raise LengthRequiredError if the body's length is unknown, TooLargeError if it exceeds the limit of objects."""
    length = whole_number(request.headers, "content-length")
    if length is None and "transfer-encoding" not in request.headers:
        raise LengthRequiredError
    check_size(length)


def check_size(size: int | None) -> None:
    """Raise TooLargeError if no object can have this size; None means an unknown size."""
    if size is not None and size > _MAX_OBJECT:
        raise TooLargeError("Your request would create an object exceeding the maximum size of 5 TiB.")


async def save(writer: Writer, blocks: AsyncIterator[bytes]) -> Content:
    """Write all blocks and finish the writer."""
    async for block in blocks:
        await run_in_threadpool(writer.write, block)
    return await run_in_threadpool(writer.finish)


async def body(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks of about 1 MiB, decompressed if its Content-Encoding is gzip."""
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
    """The body in blocks of about 1 MiB; yields what has arrived before it reports a broken connection."""
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
