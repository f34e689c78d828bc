"""Review: the answers that the models were least sure of, one after the other, by keyboard; each writes a label."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.index.store import Row
from console.views import previews
from console.web import console as shared
from console.web import forms, snippets
from console.web.console import Console
from console.web.forms import Fields
from event_inference import InputError
from event_inference.access.clients import translated
from event_inference.outcomes import reading

_OPEN = """
FROM inputs i LEFT JOIN labels l ON l.job = i.job
WHERE i.confidence IS NOT NULL AND i.label IS NOT NULL AND l.job IS NULL AND i.kind IN ('text', 'image')
AND i.document NOT LIKE 'messages/%'
"""
_NEXT = f"SELECT i.* {_OPEN} AND (i.confidence, i.document) > (?, ?) ORDER BY i.confidence, i.document LIMIT 2"
_LEFT = f"SELECT count(*) AS n {_OPEN}"
_LONGEST = 200


def page(request: Request) -> Response:
    console = shared.of(request)
    return shared.page(request, "review.html", **_values(console, -1.0, ""))


@forms.posted
def label(request: Request, fields: Fields) -> Response:
    """Send a label and show the next input; without one, the input is only passed over."""
    console, given = shared.of(request), dict(fields)
    row = console.index.input(given.get("document", ""))
    if row is None:
        raise InputError("The input of this label is not there any more.")
    chosen = given.get("label", "").strip()
    if len(chosen) > _LONGEST:
        raise InputError(f"A label has at most {_LONGEST} characters.")
    if chosen:
        _send(console, row, chosen)
    values = _values(console, row["confidence"], row["document"])
    return shared.page(request, "_review.html", **values | {"last": (row, chosen)})


def _send(console: Console, row: Row, chosen: str) -> None:
    console.client.order(order(row, chosen))
    with console.index.write() as connection:  # until the listing finds what the pipeline wrote
        connection.execute("INSERT OR REPLACE INTO labels VALUES (?, 0, ?, 'annotation')", (row["job"], chosen))


def order(row: Row, chosen: str) -> dict[str, Any]:
    """The message that records a label."""
    return {"label": {"job": row["job"], "document": row["document"], "label": chosen, "source": "annotation"}}


def _values(console: Console, confidence: float, document: str) -> dict[str, Any]:
    rows = console.index.rows(_NEXT, (confidence, document))
    left = console.index.row(_LEFT)
    cards = [_card(console, row) for row in rows]
    current = cards[0] if cards else None
    return {
        "card": current,
        "following": cards[1] if len(cards) > 1 else None,
        "left": left["n"] if left else 0,
        "snippets": current and snippets.label(console.client.target, order(current["row"], current["row"]["label"])),
        "last": None,
    }


def _card(console: Console, row: Row) -> dict[str, Any]:
    with translated(console.client.target):
        document = reading.document_of(console.client.connection.output, row["document"])
        generation = row["document"].rpartition("/")[2]
        blob = previews.input_object(console, row["name"], row["document"])
        preview = previews.of_blob(blob, row["kind"])
    predictions = document.content.get("predictions") or [{}] if document else [{}]
    scores = predictions[0].get("scores") or {row["label"]: row["confidence"]}
    if isinstance(scores, list):
        scores = {entry.get("label"): entry.get("score") for entry in scores}
    ordered = sorted(scores.items(), key=lambda entry: -(entry[1] or 0))
    return {"row": row, "preview": preview, "choices": ordered[:9], "generation": generation}
