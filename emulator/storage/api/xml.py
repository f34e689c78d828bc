"""The XML API's requests for one object: what signed URLs, media links and multipart uploads use."""

import base64
import binascii
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from ..errors import InvalidError, UnsupportedError
from ..preconditions import Preconditions
from ..resources import Fields, StoredObject
from .downloads import object_headers, send
from .requests import (
    base_url,
    promised_checksums,
    raw_body,
    require_length,
    segment,
    small_body,
    store_of,
    whole_number,
)
from .responses import XML, empty
from .signatures import check_signature
from .uploads import continue_session

_FIELDS = {
    "content-type": "contentType",
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "x-goog-storage-class": "storageClass",
    "x-goog-custom-time": "customTime",
}
_OVERRIDES = {
    "response-content-type": "content-type",
    "response-content-disposition": "content-disposition",
}
_MAX_PART_LIST = 4 << 20


async def object_request(request: Request) -> Response:
    """Any request of /{bucket}/{object}."""
    request.scope["storage.xml"] = True
    store = store_of(request)
    check_signature(request.query_params, store.clock())
    parameters = request.query_params
    match request.method:
        case "GET" if "uploadId" in parameters:
            return await _list_parts(request)
        case "GET" | "HEAD":
            return await _get(request)
        case "PUT" if "upload_id" in parameters:
            return await continue_session(request)
        case "PUT" if "uploadId" in parameters:
            return await _put_part(request)
        case "PUT":
            return await _put(request)
        case "POST" if "uploads" in parameters:
            return await _start_parts(request)
        case "POST" if "uploadId" in parameters:
            return await _finish_parts(request)
        case "POST" if request.headers.get("x-goog-resumable") == "start":
            return await _start_session(request)
        case "DELETE" if "uploadId" in parameters:
            await run_in_threadpool(store.parts.abort, *_target(request), parameters["uploadId"])
            return empty()
        case "DELETE":
            generation = whole_number(parameters, "generation")
            await run_in_threadpool(store.objects.delete, *_target(request), generation, _conditions(request))
            return empty()
    raise UnsupportedError("This request of the XML API is not emulated.")


async def bucket_request(request: Request) -> Response:
    """A request of /{bucket}: only whether it is there."""
    request.scope["storage.xml"] = True
    await run_in_threadpool(store_of(request).buckets.get, segment(request, "bucket"))
    if request.method != "HEAD":
        raise UnsupportedError("Listing buckets with the XML API is not emulated; use the JSON API.")
    return empty(200)


async def _get(request: Request) -> Response:
    response = await send(request, _conditions(request), custom=True)
    for parameter, header in _OVERRIDES.items():
        if value := request.query_params.get(parameter):
            response.headers[header] = value
    return response


async def _put(request: Request) -> Response:
    if "x-goog-copy-source" in request.headers:
        raise UnsupportedError("Copying with the XML API is not emulated; use the JSON API.")
    require_length(request)
    objects = store_of(request).objects
    with objects.receiving() as writer:
        async for block in raw_body(request):
            await run_in_threadpool(writer.write, block)
        content = await run_in_threadpool(writer.finish)
        stored = await run_in_threadpool(
            objects.insert,
            *(*_target(request), content, _fields(request), _conditions(request), promised_checksums(request)),
        )
    return _described(stored)


async def _start_session(request: Request) -> Response:
    bucket, name = _target(request)
    id = await run_in_threadpool(store_of(request).uploads.start, bucket, name, _fields(request), _conditions(request))
    location = f"{base_url(request)}{request.url.path}?upload_id={id}"
    return Response(status_code=201, headers={"location": location, "x-guploader-uploadid": id})


async def _start_parts(request: Request) -> Response:
    bucket, name = _target(request)
    id = await run_in_threadpool(store_of(request).parts.start, bucket, name, _fields(request))
    return _document("InitiateMultipartUploadResult", {"Bucket": bucket, "Key": name, "UploadId": id})


async def _put_part(request: Request) -> Response:
    require_length(request)
    store = store_of(request)
    number = whole_number(request.query_params, "partNumber")
    if number is None:
        raise InvalidError("Required parameter: partNumber")
    with store.objects.receiving() as writer:
        async for block in raw_body(request):
            await run_in_threadpool(writer.write, block)
        content = await run_in_threadpool(writer.finish)
        content.checksums.verify(promised_checksums(request))
        etag = _hex(content.checksums.md5)
        upload = request.query_params["uploadId"]
        await run_in_threadpool(store.parts.add, *_target(request), upload, number, content, etag)
    hashes = f"crc32c={content.checksums.crc32c},md5={content.checksums.md5}"
    return Response(status_code=200, headers={"etag": f'"{etag}"', "x-goog-hash": hashes})


async def _list_parts(request: Request) -> Response:
    upload = request.query_params["uploadId"]
    parts = await run_in_threadpool(store_of(request).parts.listing, *_target(request), upload)
    listed = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>&quot;{part.etag}&quot;</ETag></Part>" for part in parts
    )
    bucket, name = _target(request)
    return _document("ListPartsResult", {"Bucket": bucket, "Key": name, "UploadId": upload}, listed)


async def _finish_parts(request: Request) -> Response:
    bucket, name = _target(request)
    chosen = _chosen_parts(await small_body(request, _MAX_PART_LIST))
    stored = await run_in_threadpool(
        store_of(request).parts.finish, bucket, name, request.query_params["uploadId"], chosen
    )
    values = {"Location": base_url(request) + request.url.path, "Bucket": bucket, "Key": name}
    response = _document("CompleteMultipartUploadResult", {**values, "ETag": f'"{stored.etag}"'})
    response.headers.update(_state_headers(stored))
    return response


def _chosen_parts(data: bytes) -> list[tuple[int, str]]:
    try:
        text = data.decode("utf-8-sig")  # in another encoding a document type would go unnoticed
        if "<!DOCTYPE" in text.upper() or "\0" in text:  # the parser reads UTF-16 by its zeros
            raise InvalidError("The XML you provided may not have a document type.", code="MalformedXML")
        root = ElementTree.fromstring(text)  # noqa: S314 - without a document type there are no entities
        return [
            (int(part.findtext("{*}PartNumber", "")), part.findtext("{*}ETag", "")) for part in root.findall("{*}Part")
        ]
    except (ElementTree.ParseError, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise InvalidError("The XML you provided was not well-formed.", code="MalformedXML") from error


def _target(request: Request) -> tuple[str, str]:
    return segment(request, "bucket"), segment(request, "object")


def _conditions(request: Request) -> Preconditions:
    headers = request.headers
    return Preconditions(
        generation=whole_number(headers, "x-goog-if-generation-match"),
        metageneration=whole_number(headers, "x-goog-if-metageneration-match"),
    )


def _fields(request: Request) -> Fields:
    headers = {key: value.encode("latin-1").decode("utf-8", "replace") for key, value in request.headers.items()}
    fields: Fields = {field: headers[header] for header, field in _FIELDS.items() if header in headers}
    prefix = "x-goog-meta-"
    metadata = {key[len(prefix) :]: value for key, value in headers.items() if key.startswith(prefix)}
    return {**fields, **({"metadata": metadata} if metadata else {})}


def _described(stored: StoredObject) -> Response:
    md5 = stored.fields.get("md5Hash")
    return Response(status_code=200, headers={"etag": f'"{_hex(md5)}"', **_state_headers(stored)})


def _state_headers(stored: StoredObject) -> dict[str, str]:
    return {name: value for name, value in object_headers(stored).items() if name.startswith("x-goog-")}


def _hex(md5: str | None) -> str:
    return binascii.hexlify(base64.b64decode(md5 or "")).decode()


def _document(name: str, values: dict[str, str], more: str = "") -> Response:
    inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in values.items())
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    content = f"<?xml version='1.0' encoding='UTF-8'?><{name} xmlns='{namespace}'>{inner}{more}</{name}>"
    return Response(content, 200, media_type=XML)
