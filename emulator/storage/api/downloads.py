"""Downloads: whole objects or ranges, as stored or decompressed."""

import re
import zlib
from collections.abc import AsyncIterator, Iterator
from email.utils import format_datetime
from typing import BinaryIO

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from emulator.storage.api.requests import preconditions, segment, store_of, whole_number
from emulator.storage.api.responses import INERT, NO_STORE
from emulator.storage.contents.files import BLOCK, blocks
from emulator.storage.errors import RangeError
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import StoredObject, moment

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


async def download(request: Request) -> Response:
    """A download of the JSON API."""
    return await send(request, preconditions(request))


async def send(request: Request, conditions: Preconditions, *, in_xml: bool = False) -> Response:
    """The bytes of the object in the path, as the request's generation, Range and Accept-Encoding require.

    With `in_xml`, headers carry the object's custom metadata and the entity tag of the XML API.
    """
    stored, file = await run_in_threadpool(
        store_of(request).objects.open,
        *(segment(request, "bucket"), segment(request, "object")),
        whole_number(request.query_params, "generation"),
        conditions,
    )
    try:
        if _wants_decompression(request, stored) and await run_in_threadpool(_is_gzip, file):
            response = _decompressed(request, stored, file)
        else:
            response = await _as_stored(request, stored, file)
        if in_xml:
            response.headers.update({**_custom_headers(stored), "etag": f'"{stored.content_etag}"'})
    except BaseException:
        file.close()
        raise
    return response


async def _as_stored(request: Request, stored: StoredObject, file: BinaryIO) -> Response:
    headers = object_headers(stored)
    span = requested_range(request.headers.get("range"), stored.size)
    start, length = span or (0, stored.size)
    if span:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{stored.size}"
    if encoding := stored.fields.get("contentEncoding"):
        headers["content-encoding"] = encoding
    headers["content-length"] = str(length)
    headers["accept-ranges"] = "bytes"
    await run_in_threadpool(file.seek, start)
    return _streamed(request, 206 if span else 200, headers, file, blocks(file, length))


def _decompressed(request: Request, stored: StoredObject, file: BinaryIO) -> Response:
    headers = object_headers(stored)
    headers["warning"] = "214 UploadServer gunzipped"
    return _streamed(request, 200, headers, file, _inflate(file))


def _streamed(
    request: Request, status: int, headers: dict[str, str], file: BinaryIO, content: Iterator[bytes]
) -> Response:
    if request.method == "HEAD":
        file.close()
        return Response(None, status, headers)

    async def stream() -> AsyncIterator[bytes]:
        try:
            async for block in iterate_in_threadpool(content):
                yield block
        finally:
            file.close()

    return StreamingResponse(stream(), status, headers)


def object_headers(stored: StoredObject) -> dict[str, str]:
    """The headers that describe an object in a response with its bytes."""
    fields = stored.fields
    hashes = [f"crc32c={fields['crc32c']}"] + ([f"md5={fields['md5Hash']}"] if "md5Hash" in fields else [])
    headers = {
        "content-type": fields.get("contentType", "application/octet-stream"),
        "cache-control": fields.get("cacheControl", NO_STORE),
        "etag": stored.etag,
        "last-modified": format_datetime(moment(fields["updated"]), usegmt=True),
        "x-goog-generation": str(stored.generation),
        "x-goog-metageneration": str(stored.metageneration),
        "x-goog-hash": ",".join(hashes),
        "x-goog-storage-class": fields["storageClass"],
        "x-goog-stored-content-encoding": fields.get("contentEncoding", "identity"),
        "x-goog-stored-content-length": fields["size"],
        **INERT,
    }
    for field, header in (("contentDisposition", "content-disposition"), ("contentLanguage", "content-language")):
        if field in fields:
            headers[header] = fields[field]
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _custom_headers(stored: StoredObject) -> dict[str, str]:
    return {
        f"x-goog-meta-{key}": value.encode().decode("latin-1")
        for key, value in stored.fields.get("metadata", {}).items()
        if _HEADER_NAME.fullmatch(key) and value.isprintable()
    }


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and length of a Range header; None means the whole object, also for several ranges or other units.

    Raises:
        RangeError: the range begins after the end of the object.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if not match or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        length = min(int(last), size)
        start, end = size - length, size - 1
    else:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
        if last and int(last) < start:
            return None
    if start >= size:
        raise RangeError(size)
    return start, end - start + 1


def _wants_decompression(request: Request, stored: StoredObject) -> bool:
    if stored.fields.get("contentEncoding") != "gzip" or "no-transform" in stored.fields.get("cacheControl", ""):
        return False
    accepted = {
        coding.strip().lower()
        for coding, _, weight in (each.partition(";") for each in request.headers.get("accept-encoding", "").split(","))
        if weight.replace(" ", "") not in {"q=0", "q=0.0"}
    }
    return not accepted & {"gzip", "*"}


def _is_gzip(file: BinaryIO) -> bool:
    magic = file.read(2)
    file.seek(0)
    return magic == b"\x1f\x8b"


def _inflate(file: BinaryIO) -> Iterator[bytes]:
    inflater = zlib.decompressobj(31)
    for block in blocks(file):
        data = block
        while data:
            yield inflater.decompress(data, BLOCK)
            data = inflater.unconsumed_tail
            if inflater.eof:
                data = inflater.unused_data
                inflater = zlib.decompressobj(31)
    yield inflater.flush()
