"""Review: answers one after the other, by keyboard, the least certain first or at random; each writes a label."""

from collections.abc import Mapping
from dataclasses import dataclass
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
_LEFT = f"SELECT count(*) AS n {_OPEN}"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Order:
    """The order in which inputs are reviewed, and as what their labels therefore count.

    Labels of answers that were chosen because the model was unsure say nothing about how good it is, so they are
    corrections. A job's id is a hash, so its order is as good as random.
    """

    source: str
    sentence: str
    columns: str

    def following(self, row: Row | None) -> tuple[str, tuple[Any, ...]]:
        """The query of the next two inputs after one, and its values."""
        marks = ", ".join("?" * (self.columns.count(",") + 1))
        after = f"AND ({self.columns}) > ({marks})" if row else ""
        values = tuple(row[name.strip().removeprefix("i.")] for name in self.columns.split(",")) if row else ()
        return f"SELECT i.* {_OPEN} {after} ORDER BY {self.columns} LIMIT 2", values


ORDERS = {
    "unsure": Order(
        "correction", "The least certain answers first. Labels correct answers; they do not measure a model.",
        "i.confidence, i.document",
    ),
    "random": Order(
        "audit", "Inputs drawn at random, without the answer. Labels measure how often a model is right.",
        "i.job, i.document",
    ),
}  # fmt: skip


def page(request: Request) -> Response:
    console = shared.of(request)
    return shared.page(request, "review.html", **_values(console, _order(dict(request.query_params)), None))


@forms.posted
def label(request: Request, fields: Fields) -> Response:
    """Send a label and show the next input; without one, the input is only passed over."""
    console, values = shared.of(request), dict(fields)
    order, row = _order(values), console.index.input(values.get("document", ""))
    if row is None:
        raise InputError("The input of this label is not there any more.")
    chosen = values.get("label", "").strip()
    if len(chosen) > _LONGEST:
        raise InputError(f"A label has at most {_LONGEST} characters.")
    if chosen:
        _send(console, row, chosen, ORDERS[order].source)
    return shared.page(request, "partials/review.html", **_values(console, order, row))


def _order(parameters: Mapping[str, str]) -> str:
    name = parameters.get("order", "unsure")
    if name not in ORDERS:
        raise InputError(f"Inputs are reviewed in the order {' or '.join(ORDERS)}.")
    return name


def _send(console: Console, row: Row, chosen: str, source: str) -> None:
    console.client.order(message(row, chosen, source))
    with console.index.write() as connection:  # until the listing finds what the pipeline wrote
        connection.execute("INSERT OR REPLACE INTO labels VALUES (?, 0, ?, ?)", (row["job"], chosen, source))


def message(row: Row, chosen: str, source: str) -> dict[str, Any]:
    """The message that records a label."""
    return {"label": {"document": row["document"], "label": chosen, "source": source}}


def _values(console: Console, order: str, after: Row | None) -> dict[str, Any]:
    left = console.index.row(_LEFT)
    source = ORDERS[order].source
    cards = [_card(console, row, source) for row in console.index.rows(*ORDERS[order].following(after))]
    if order == "random":  # the answer must not lead the person
        for card in cards:
            card["choices"].sort()
    return {
        "order": order,
        "orders": ORDERS,
        "card": cards[0] if cards else None,
        "following": cards[1] if len(cards) > 1 else None,
        "left": left["n"] if left else 0,
    }


def _card(console: Console, row: Row, source: str) -> dict[str, Any]:
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
    return {
        "row": row,
        "preview": preview,
        "choices": ordered[:9],
        "generation": generation,
        "snippets": snippets.label(console.client.target, message(row, row["label"], source)),
    }
