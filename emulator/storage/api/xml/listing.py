"""Requests of the XML API for a bucket: whether it exists, and its objects."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from emulator.storage.api.requests import segment, store_of, whole_number
from emulator.storage.api.responses import empty
from emulator.storage.api.xml.documents import document, listed
from emulator.storage.api.xml.headers import require_emulated
from emulator.storage.errors import UnsupportedError
from emulator.storage.objects.listing import MAX_RESULTS, Query, successor


async def bucket_request(request: Request) -> Response:
    """A request of /{bucket}: whether it exists, or its objects."""
    request.scope["storage.xml"] = True
    require_emulated(request)
    if request.method == "GET" and "uploads" not in request.query_params:
        return await _list(request)
    if request.method != "HEAD":
        raise UnsupportedError("This request of the XML API is not emulated; use the JSON API.")
    await run_in_threadpool(store_of(request).buckets.get, segment(request, "bucket"))
    return empty(200)


async def _list(request: Request) -> Response:
    """The objects of a bucket, in version 1 of the listing or, with `list-type=2`, in version 2."""
    parameters = request.query_params
    second = parameters.get("list-type") == "2"
    limit = whole_number(parameters, "max-keys")
    prefix, delimiter = parameters.get("prefix", ""), parameters.get("delimiter", "")
    after = parameters.get("start-after" if second else "marker", "")
    skipped = successor(after) if delimiter and after.endswith(delimiter) and not second else None
    query = Query(
        prefix=prefix,
        delimiter=delimiter,
        start_offset=skipped or "",
        after=after,
        max_results=MAX_RESULTS if limit is None else limit,
        page_token=parameters.get("continuation-token") or None if second else None,
    )
    listing = await run_in_threadpool(store_of(request).objects.listing, segment(request, "bucket"), query)
    token = listing.next_page_token
    if second:
        values = {"KeyCount": str(len(listing.objects) + len(listing.prefixes)), "StartAfter": after}
        more = {"NextContinuationToken": token} if token else {}
    else:
        last = max([*(stored.name for stored in listing.objects), *listing.prefixes], default="")
        values, more = {"Marker": after}, {"NextMarker": last} if token else {}
    described = {"Name": segment(request, "bucket"), "Prefix": prefix, "Delimiter": delimiter, **values, **more}
    described["IsTruncated"] = "true" if token else "false"
    return document("ListBucketResult", described, listed(listing))
