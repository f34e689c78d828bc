"""The list of inputs, its live updates, uploads, and its download as CSV."""

import asyncio
import csv
import io
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from console.index import selection
from console.index.rows import of_object
from console.index.selection import GROUPS, PAGE, SORTS, Filters
from console.index.store import STATES, Row
from console.web import console as shared
from console.web import live, snippets, wording
from console.web.console import Console
from event_inference import Handle, InputError

_COLUMNS = (
    "name", "state", "kind", "answer", "label", "confidence", "model", "version", "latency_seconds", "cost_usd",
    "device_usd", "records", "failed_records", "code", "reason", "finished_at", "job", "document",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_BATCH = 500


def listing(request: Request) -> Response:
    """The page, or the list alone if htmx asks for it."""
    console, filters = shared.of(request), Filters.of(dict(request.query_params))
    values = _values(console, filters)
    if request.headers.get("hx-request"):
        return shared.page(request, "_inputs.html", **values)
    return shared.page(
        request,
        "inputs.html",
        **values,
        kinds_present=selection.choices(console.index, "kind"),
        models_present=selection.choices(console.index, "model"),
        sorts=SORTS,
        snippets=snippets.results(console.client.target, filters.prefix),
    )


def live_listing(request: Request) -> Response:
    console, filters = shared.of(request), Filters.of(dict(request.query_params))
    token = request.state.token

    def render() -> str:
        return shared.render(console, token, "_list.html", **_values(console, filters))

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


def export(request: Request) -> Response:
    """All inputs that the filters select as CSV, the earliest first unless sorted otherwise."""
    console = shared.of(request)
    filters = Filters.of({"sort": "oldest", **request.query_params, "page": "1"})
    headers = {"content-disposition": 'attachment; filename="inputs.csv"'}
    return StreamingResponse(_csv(console, filters), media_type="text/csv; charset=utf-8", headers=headers)


def _csv(console: Console, filters: Filters) -> Iterator[str]:
    condition, values = filters.where()
    query = f"SELECT * FROM inputs {f'WHERE {condition}' if condition else ''} ORDER BY {SORTS[filters.sort]}"  # noqa: S608
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    with console.index.read() as connection:
        for number, row in enumerate(connection.execute(query, values), 1):
            writer.writerow([defused(value) for value in _cells(dict(row))])
            if number % _BATCH == 0:
                yield text.getvalue()
                text.seek(0)
                text.truncate()
    yield text.getvalue()


def _cells(row: Row) -> list[Any]:
    finished = datetime.fromtimestamp(row["changed"], UTC).isoformat() if row["folder"] else ""
    extra = {
        "latency_seconds": row["latency"],
        "cost_usd": row["usd"],
        "reason": wording.reason(row),
        "finished_at": finished,
    }
    return [extra[column] if column in extra else row[column] for column in _COLUMNS]


def defused(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _values(console: Console, filters: Filters) -> dict[str, Any]:
    counts = selection.counts(console.index)
    return {
        "filters": filters,
        "found": selection.page(console.index, filters),
        "page_size": PAGE,
        "counts": counts,
        "total": sum(counts.values()),
        "chips": [
            ("", "all", sum(counts.values())),
            ("open", "in progress", sum(counts.get(state, 0) for state in GROUPS["open"])),
            ("done", "done", sum(counts.get(state, 0) for state in GROUPS["done"])),
            ("rejected", "rejected", counts.get("rejected", 0)),
            ("failed", "failed", counts.get("failed", 0)),
        ],
        "all_states": STATES,
    }
