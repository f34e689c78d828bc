"""Requests of the XML API for one object, as signed URLs, media links and object_store send them."""

from urllib.parse import unquote_to_bytes

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from emulator.storage.api.downloads import send
from emulator.storage.api.requests import (
    base_url,
    expected_checksums,
    raw_body,
    require_length,
    save,
    small_body,
    store_of,
    target,
    whole_number,
)
from emulator.storage.api.responses import empty
from emulator.storage.api.signed_urls import check_signature
from emulator.storage.api.uploads import continue_session
from emulator.storage.api.xml import parts
from emulator.storage.api.xml.documents import document
from emulator.storage.api.xml.headers import (
    conditions,
    reading_conditions,
    requested_fields,
    require_emulated,
    state_headers,
)
from emulator.storage.errors import InvalidError, UnsupportedError
from emulator.storage.objects.generations import Source
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import StoredObject

_OVERRIDES = {
    "response-content-type": "content-type",
    "response-content-disposition": "content-disposition",
}


async def object_request(request: Request) -> Response:
    """Any request of /{bucket}/{object}."""
    request.scope["storage.xml"] = True
    store = store_of(request)
    check_signature(request.query_params, store.clock())
    parameters = request.query_params
    require_emulated(request)
    match request.method:
        case "GET" if "uploadId" in parameters:
            return await parts.list_parts(request)
        case "GET" | "HEAD":
            return await _get(request)
        case "PUT" if "upload_id" in parameters:
            return await continue_session(request)
        case "PUT" if "uploadId" in parameters:
            return await parts.put_part(request)
        case "PUT":
            return await _put(request)
        case "POST" if "uploads" in parameters:
            return await parts.start_parts(request)
        case "POST" if "uploadId" in parameters:
            return await parts.finish_parts(request)
        case "POST" if request.headers.get("x-goog-resumable") == "start":
            return await _start_session(request)
        case "DELETE" if "uploadId" in parameters:
            await run_in_threadpool(store.multipart_uploads.abort, *target(request), parameters["uploadId"])
            return empty()
        case "DELETE":
            generation = whole_number(parameters, "generation")
            await run_in_threadpool(store.objects.delete, *target(request), generation, conditions(request))
            return empty()
    raise UnsupportedError("This request of the XML API is not emulated.")


async def _copy(request: Request) -> Response:
    """PUT with `x-goog-copy-source`, whose value is /bucket/object, percent-encoded."""
    await small_body(request, 0)
    headers = request.headers
    bucket, _, name = headers["x-goog-copy-source"].lstrip("/").partition("/")
    expected = Preconditions(
        whole_number(headers, "x-goog-copy-source-if-generation-match"),
        metageneration=whole_number(headers, "x-goog-copy-source-if-metageneration-match"),
    )
    generation = whole_number(headers, "x-goog-copy-source-generation")
    source = Source(_decoded(bucket), _decoded(name), generation, expected)
    directive = headers.get("x-goog-metadata-directive", "COPY").upper()
    fields = requested_fields(request) if directive == "REPLACE" else {}
    stored = await run_in_threadpool(
        store_of(request).objects.copy, source, *target(request), fields, conditions(request)
    )
    values = {"LastModified": stored.fields["updated"], "ETag": f'"{stored.content_etag}"'}
    response = document("CopyObjectResult", values)
    response.headers.update(state_headers(stored))
    return response


async def _get(request: Request) -> Response:
    response = await send(request, reading_conditions(request), in_xml=True)
    for parameter, header in _OVERRIDES.items():
        if value := request.query_params.get(parameter):
            response.headers[header] = value
    return response


async def _put(request: Request) -> Response:
    if "x-goog-copy-source" in request.headers:
        return await _copy(request)
    require_length(request)
    objects = store_of(request).objects
    with objects.receiving() as writer:
        content = await save(writer, raw_body(request))
        stored = await run_in_threadpool(
            objects.insert,
            *(*target(request), content, requested_fields(request), conditions(request), expected_checksums(request)),
        )
    return _described(stored)


async def _start_session(request: Request) -> Response:
    bucket, name = target(request)
    uploads = store_of(request).resumable_uploads
    id = await run_in_threadpool(uploads.start, bucket, name, requested_fields(request), conditions(request))
    location = f"{base_url(request)}{request.url.path}?upload_id={id}"
    return Response(status_code=201, headers={"location": location, "x-guploader-uploadid": id})


def _described(stored: StoredObject) -> Response:
    return Response(status_code=200, headers={"etag": f'"{stored.content_etag}"', **state_headers(stored)})


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise InvalidError("The copy source must be UTF-8, percent-encoded.", code="InvalidURI") from error
