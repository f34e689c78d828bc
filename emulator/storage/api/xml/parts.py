"""Multipart uploads of the XML API: a request for each part, and one that joins them."""

import base64

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

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
from emulator.storage.api.xml.documents import chosen_parts, document, elements
from emulator.storage.api.xml.headers import requested_fields, state_headers
from emulator.storage.errors import InvalidError

_MAX_PART_LIST = 4 << 20


async def start_parts(request: Request) -> Response:
    bucket, name = target(request)
    id = await run_in_threadpool(store_of(request).multipart_uploads.start, bucket, name, requested_fields(request))
    return document("InitiateMultipartUploadResult", {"Bucket": bucket, "Key": name, "UploadId": id})


async def put_part(request: Request) -> Response:
    require_length(request)
    store = store_of(request)
    number = whole_number(request.query_params, "partNumber")
    if number is None:
        raise InvalidError("Required parameter: partNumber")
    with store.objects.receiving() as writer:
        content = await save(writer, raw_body(request))
        content.checksums.verify(expected_checksums(request))
        etag = base64.b64decode(content.checksums.md5 or "").hex()
        upload = request.query_params["uploadId"]
        await run_in_threadpool(store.multipart_uploads.add, *target(request), upload, number, content, etag)
    hashes = f"crc32c={content.checksums.crc32c},md5={content.checksums.md5}"
    return Response(status_code=200, headers={"etag": f'"{etag}"', "x-goog-hash": hashes})


async def list_parts(request: Request) -> Response:
    upload = request.query_params["uploadId"]
    parts = await run_in_threadpool(store_of(request).multipart_uploads.listing, *target(request), upload)
    values = [elements({"PartNumber": str(part.number), "ETag": f'"{part.etag}"'}) for part in parts]
    bucket, name = target(request)
    entries = "".join(f"<Part>{value}</Part>" for value in values)
    return document("ListPartsResult", {"Bucket": bucket, "Key": name, "UploadId": upload}, entries)


async def finish_parts(request: Request) -> Response:
    bucket, name = target(request)
    chosen = chosen_parts(await small_body(request, _MAX_PART_LIST))
    stored = await run_in_threadpool(
        store_of(request).multipart_uploads.finish, bucket, name, request.query_params["uploadId"], chosen
    )
    values = {"Location": base_url(request) + request.url.path, "Bucket": bucket, "Key": name}
    response = document("CompleteMultipartUploadResult", {**values, "ETag": f'"{stored.content_etag}"'})
    response.headers.update(state_headers(stored))
    return response
