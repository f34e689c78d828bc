"""The list of inputs, its live updates, and uploads."""

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from console.index import selection
from console.index.rows import of_object
from console.index.selection import GROUPS, SORTS, Filters
from console.index.store import STATES
from console.web import console as shared
from console.web import live, snippets
from console.web.console import Console
from event_inference import Handle, InputError


def listing(request: Request) -> Response:
    """The page, or the list alone if htmx asks for it."""
    console, filters = shared.of(request), Filters.of(dict(request.query_params))
    values = _values(console, filters)
    if request.headers.get("hx-request"):
        return shared.page(request, "partials/inputs.html", **values)
    return shared.page(
        request,
        "inputs.html",
        **values,
        kinds_present=selection.choices(console.index, "kind"),
        models_present=selection.choices(console.index, "model"),
        sorts=SORTS,
        submit_snippets=snippets.submit(console.client.target),
    )


def live_listing(request: Request) -> Response:
    console, filters = shared.of(request), Filters.of(dict(request.query_params))
    token = request.state.token

    def render() -> str:
        return shared.render(console, token, "partials/list.html", **_values(console, filters))

    return live.stream(request, render)


async def upload(request: Request) -> Response:
    """Take a file as the request's body and send it to the pipeline, as the media type that its name says.

    What browsers say of files differs between machines; Windows calls a CSV application/vnd.ms-excel.
    """
    console = shared.of(request)
    if not request.query_params.get("name"):
        raise InputError("The upload has no name.")
    name = request.query_params["name"]
    with tempfile.NamedTemporaryFile(prefix="einf-upload-") as file:
        async for chunk in request.stream():
            file.write(chunk)
        file.flush()
        size = file.tell()
        handle = await asyncio.to_thread(console.client.submit, Path(file.name), name=name)
    await asyncio.to_thread(_remember, console, handle, size)
    return JSONResponse({"name": handle.name, "document": handle.document_name, "new": handle.is_new})


def _remember(console: Console, handle: Handle, size: int) -> None:
    """Show the input before the next listing finds it."""
    if console.index.input(handle.document_name) is None:
        bucket = console.client.target.input_bucket
        console.index.put([of_object(bucket, handle.name, handle.generation, size, datetime.now(UTC))])
    console.refresher.soon()


def _values(console: Console, filters: Filters) -> dict[str, Any]:
    found = selection.page(console.index, filters)
    counts = found.counts
    return {
        "filters": filters,
        "snippets": snippets.results(console.client.target, filters),
        "found": found,
        "chips": [
            ("", "all", sum(counts.values())),
            ("open", "in progress", sum(counts.get(state, 0) for state in GROUPS["open"])),
            ("done", "done", sum(counts.get(state, 0) for state in GROUPS["done"])),
            ("rejected", "rejected", counts.get("rejected", 0)),
            ("failed", "failed", counts.get("failed", 0)),
        ],
        "all_states": STATES,
    }
