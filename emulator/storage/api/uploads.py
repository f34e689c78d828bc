"""Uploads of the JSON API: media, multipart and resumable."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from emulator.storage.api.multipart_bodies import Headers, MultipartParser, boundary_of
from emulator.storage.api.requests import (
    MAX_DOCUMENT,
    base_url,
    body,
    check_size,
    document,
    expected_checksums,
    parsed_document,
    preconditions,
    raw_body,
    require_length,
    save,
    segment,
    store_of,
    whole_number,
)
from emulator.storage.api.responses import answer, empty
from emulator.storage.errors import InvalidError, TooLargeError
from emulator.storage.resources import Fields, StoredObject
from emulator.storage.uploads.resumable import QUANTUM, Upload

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19}|\*)|\*)/(\d{1,19}|\*)")


async def upload_object(request: Request) -> Response:
    """POST …/upload/…/o: the kind of upload is in `uploadType`; with `upload_id` it continues a session."""
    if "upload_id" in request.query_params:
        return await continue_session(request)
    require_length(request)
    kind = request.query_params.get("uploadType") or request.headers.get("x-goog-upload-protocol")
    match kind:
        case "media" | "raw":
            stored = await _media(request)
        case "multipart":
            stored = await _multipart(request)
        case "resumable":
            return await _start_session(request)
        case _:
            raise InvalidError(f"Invalid value for: uploadType: '{kind}'")
    return answer(request, stored.resource(base_url(request)))


async def _media(request: Request) -> StoredObject:
    fields: Fields = {}
    if content_type := request.headers.get("content-type"):
        fields["contentType"] = content_type
    name, fields = _named(request, fields)
    objects = store_of(request).objects
    bucket, conditions, expected = segment(request, "bucket"), preconditions(request), expected_checksums(request)
    with objects.receiving() as writer:
        content = await save(writer, body(request))
        return await run_in_threadpool(objects.insert, bucket, name, content, fields, conditions, expected)


async def _multipart(request: Request) -> StoredObject:
    objects = store_of(request).objects
    bucket, conditions = segment(request, "bucket"), preconditions(request)
    parser = MultipartParser(boundary_of(request.headers.get("content-type", "")))
    parts: list[Headers] = []
    metadata = bytearray()
    with objects.receiving() as writer:
        async for block in body(request):
            for piece in parser.feed(block):
                if isinstance(piece, Headers):
                    parts.append(piece)
                elif len(parts) == 1:
                    metadata += piece
                else:
                    await run_in_threadpool(writer.write, piece)
            if len(metadata) > MAX_DOCUMENT or len(parts) > 2:
                raise TooLargeError("A multipart upload has one part of metadata, of up to 1 MiB, and one of media.")
        parser.close()
        if len(parts) != 2:
            raise InvalidError("A multipart upload must have two parts: metadata and media.")
        fields = parsed_document(bytes(metadata))
        if content_type := parts[1].values.get("content-type"):
            fields.setdefault("contentType", content_type)
        name, fields = _named(request, fields)
        content = await run_in_threadpool(writer.finish)
        expected = expected_checksums(request)
        return await run_in_threadpool(objects.insert, bucket, name, content, fields, conditions, expected)


def _named(request: Request, fields: Fields) -> tuple[str, Fields]:
    """The object's name and fields; the request's parameters take precedence over the resource."""
    name = request.query_params.get("name") or fields.get("name")
    if not name or not isinstance(name, str):
        raise InvalidError("Required parameter: name")
    if encoding := request.query_params.get("contentEncoding"):
        fields = {**fields, "contentEncoding": encoding}
    return name, fields


async def _start_session(request: Request) -> Response:
    fields = await document(request)
    if content_type := request.headers.get("x-upload-content-type"):
        fields.setdefault("contentType", content_type)
    name, fields = _named(request, fields)
    total = whole_number(request.headers, "x-upload-content-length")
    check_size(total)
    uploads, bucket = store_of(request).resumable_uploads, segment(request, "bucket")
    id = await run_in_threadpool(uploads.start, bucket, name, fields, preconditions(request), total)
    location = f"{base_url(request)}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id}"
    return Response(status_code=200, headers={"location": location, "x-guploader-uploadid": id})


async def continue_session(request: Request) -> Response:
    """PUT or POST to a session: a chunk of the object, its last chunk, or a query of the progress."""
    require_length(request)
    uploads = store_of(request).resumable_uploads
    upload = await run_in_threadpool(uploads.get, _session(request))
    span = _Span.parse(request.headers.get("content-range"))
    if upload.stored is None and not span.is_query:
        upload = await run_in_threadpool(uploads.resume, upload.id)
    if upload.stored is not None:
        await _drain(request)
        return answer(request, upload.stored.resource(base_url(request)))
    if span.is_query or span.start > upload.size:
        await _drain(request)
        size = upload.size
    else:
        size = await _append(request, upload, span)
    total = size if span.is_whole else span.total
    if total is None or size < total:
        return _incomplete(size)
    if upload.total not in (None, total):
        raise InvalidError(f"The upload was announced with {upload.total} bytes, but has {total}.")
    stored = await run_in_threadpool(uploads.finish, upload.id, total, expected_checksums(request))
    return answer(request, stored.resource(base_url(request)))


async def cancel_session(request: Request) -> Response:
    await run_in_threadpool(store_of(request).resumable_uploads.cancel, _session(request))
    return empty(499)


def _session(request: Request) -> str:
    id = request.query_params.get("upload_id")
    if not id:
        raise InvalidError("Required parameter: upload_id")
    return id


@dataclass(frozen=True)
class _Span:
    """A Content-Range: where the body begins and ends, and the object's size if known.

    `is_whole` says that the object ends where the body does.
    """

    start: int = 0
    end: int | None = None
    total: int | None = None
    is_query: bool = False
    is_whole: bool = False

    @classmethod
    def parse(cls, header: str | None) -> "_Span":
        if header is None:
            return cls(is_whole=True)
        match = _CONTENT_RANGE.fullmatch(header.strip())
        if not match:
            raise InvalidError(f"Failed to parse Content-Range header: {header!r}")
        total = None if match[3] == "*" else int(match[3])
        check_size(total)
        if match[1] is None:
            return cls(total=total, is_query=True)
        start = int(match[1])
        if match[2] == "*":
            return cls(start, total=total, is_whole=total is None)
        end = int(match[2])
        if end < start - 1 or (total is not None and end >= total):
            raise InvalidError(f"Invalid Content-Range header: {header!r}")
        return cls(start, end, total)


async def _append(request: Request, upload: Upload, span: _Span) -> int:
    """Append those bytes of the body that the session does not have yet; returns its new size."""
    uploads = store_of(request).resumable_uploads
    size = upload.size
    async for offset, block in _blocks_at(request, span):
        new = block[max(size - offset, 0) :]
        if new:
            await run_in_threadpool(uploads.append, upload.id, size, new)
            size += len(new)
    if span.end is not None and span.end + 1 != size and span.end + 1 > upload.size:
        raise InvalidError("The body's length differs from what Content-Range says.")
    return size


async def _blocks_at(request: Request, span: _Span) -> AsyncIterator[tuple[int, bytes]]:
    offset = span.start
    async for block in raw_body(request):
        yield offset, block
        offset += len(block)
        if span.end is not None and offset > span.end + 1:
            raise InvalidError("The body is longer than Content-Range says.")


async def _drain(request: Request) -> None:
    async for _ in raw_body(request):
        pass


def _incomplete(size: int) -> Response:
    kept = size - size % QUANTUM
    return Response(status_code=308, headers={"range": f"bytes=0-{kept - 1}"} if kept else {})
