"""Batches, with how far those are that run."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.index.store import Row
from console.views.answers import batch_sentence
from console.web import console as shared
from console.web import live
from console.web.console import Console
from event_inference.access.clients import translated
from event_inference.outcomes import reading

_BATCHES = """
SELECT * FROM inputs WHERE kind IN ('table', 'records', 'manifest') OR (folder = '' AND state = 'running')
ORDER BY folder != '', changed DESC LIMIT 60
"""


def page(request: Request) -> Response:
    return shared.page(request, "batches.html", batches=_batches(shared.of(request)))


def live_page(request: Request) -> Response:
    console, token = shared.of(request), request.state.token

    def render() -> str:
        return shared.render(console, token, "partials/batches.html", batches=_batches(console))

    return live.stream(request, render)


def _batches(console: Console) -> list[dict[str, Any]]:
    found = console.index.rows(_BATCHES)
    with translated(console.client.target):
        return [entry for row in found if (entry := _entry(console, row))]


def _entry(console: Console, row: Row) -> dict[str, Any] | None:
    """A batch with its progress; None for what runs and is no batch."""
    if row["folder"]:
        total, failed = row["records"] or 0, row["failed_records"] or 0
        text = f"{total:,} records" + (f", {failed:,} of them failed" if failed else "")
        return {"row": row, "done": total, "total": total, "failed": failed, "sentence": text}
    batch = reading.batch_of(console.client.connection.output, row["job"])
    if batch is None:
        return None
    sentence = batch_sentence(batch)
    return {"row": row, "done": batch.done, "total": batch.total, "failed": batch.failed, "sentence": sentence}
