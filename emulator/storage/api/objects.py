"""Requests of the JSON API for objects, except uploads."""

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from emulator.storage.api.downloads import download
from emulator.storage.api.requests import (
    base_url,
    document,
    flag,
    preconditions,
    segment,
    store_of,
    target,
    whole_number,
)
from emulator.storage.api.responses import answer, empty
from emulator.storage.errors import InvalidError
from emulator.storage.objects.generations import Source
from emulator.storage.objects.listing import MAX_RESULTS, Query
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import Fields


async def list_objects(request: Request) -> Response:
    parameters = request.query_params
    limit = whole_number(parameters, "maxResults")
    if flag(request, "softDeleted"):
        # The store has no soft delete, so there is nothing to list.
        await run_in_threadpool(
            partial(store_of(request).buckets.get, segment(request, "bucket"), permission="storage.objects.list")
        )
        return answer(request, {"kind": "storage#objects"})
    query = Query(
        prefix=parameters.get("prefix", ""),
        delimiter=parameters.get("delimiter", ""),
        start_offset=parameters.get("startOffset", ""),
        end_offset=parameters.get("endOffset") or None,
        match_glob=parameters.get("matchGlob") or None,
        versions=flag(request, "versions"),
        include_trailing_delimiter=flag(request, "includeTrailingDelimiter"),
        max_results=MAX_RESULTS if limit is None else limit,
        page_token=parameters.get("pageToken") or None,
    )
    listing = await run_in_threadpool(store_of(request).objects.listing, segment(request, "bucket"), query)
    base = base_url(request)
    page: Fields = {"kind": "storage#objects"}
    if listing.next_page_token:
        page["nextPageToken"] = listing.next_page_token
    if listing.prefixes:
        page["prefixes"] = listing.prefixes
    if listing.objects:
        page["items"] = [stored.resource(base) for stored in listing.objects]
    return answer(request, page)


async def get_object(request: Request) -> Response:
    if request.query_params.get("alt") == "media":
        return await download(request)
    stored = await run_in_threadpool(
        store_of(request).objects.get, *target(request), _generation(request), preconditions(request)
    )
    return answer(request, stored.resource(base_url(request)))


async def patch_object(request: Request) -> Response:
    changes = await document(request)
    stored = await run_in_threadpool(
        store_of(request).objects.patch,
        *(*target(request), changes, _generation(request), preconditions(request)),
        replace_all=request.method == "PUT",
    )
    return answer(request, stored.resource(base_url(request)))


async def delete_object(request: Request) -> Response:
    await run_in_threadpool(
        store_of(request).objects.delete, *target(request), _generation(request), preconditions(request)
    )
    return empty()


async def compose_objects(request: Request) -> Response:
    body = await document(request)
    bucket, name = target(request)
    sources = _sources(bucket, body.get("sourceObjects"))
    destination = body.get("destination") or {}
    if not isinstance(destination, dict):
        raise InvalidError("Invalid value for: destination: expected an object.")
    stored = await run_in_threadpool(
        store_of(request).objects.compose, bucket, name, sources, destination, preconditions(request)
    )
    return answer(request, stored.resource(base_url(request)))


def _sources(bucket: str, listed: object) -> list[Source]:
    if not isinstance(listed, list):
        raise InvalidError("You must provide at least one source component.")
    sources = []
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InvalidError("Each source component must have a name.")
        conditions = entry.get("objectPreconditions") or {}
        if not isinstance(conditions, dict):
            raise InvalidError("Invalid value for: objectPreconditions: expected an object.")
        values = {
            key: str(value)
            for key, value in {**entry, **conditions}.items()
            if key in {"generation", "ifGenerationMatch"} and value is not None
        }
        match = Preconditions(generation=whole_number(values, "ifGenerationMatch"))
        sources.append(Source(bucket, entry["name"], whole_number(values, "generation"), match))
    return sources


async def copy_object(request: Request) -> Response:
    fields = await document(request)
    stored = await run_in_threadpool(
        store_of(request).objects.copy, _source(request), *_destination(request), fields, preconditions(request)
    )
    return answer(request, stored.resource(base_url(request)))


async def rewrite_object(request: Request) -> Response:
    """Copy in one step, whatever the size, so that no rewrite token is needed."""
    fields = await document(request)
    stored = await run_in_threadpool(
        store_of(request).objects.copy, _source(request), *_destination(request), fields, preconditions(request)
    )
    progress = {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": str(stored.size),
        "objectSize": str(stored.size),
        "done": True,
        "resource": stored.resource(base_url(request)),
    }
    return answer(request, progress)


async def move_object(request: Request) -> Response:
    stored = await run_in_threadpool(
        store_of(request).objects.move, _source(request), segment(request, "to_object"), preconditions(request)
    )
    return answer(request, stored.resource(base_url(request)))


def _generation(request: Request) -> int | None:
    return whole_number(request.query_params, "generation")


def _source(request: Request) -> Source:
    generation = whole_number(request.query_params, "sourceGeneration")
    return Source(*target(request), generation, preconditions(request, source=True))


def _destination(request: Request) -> tuple[str, str]:
    return segment(request, "to_bucket"), segment(request, "to_object")
