"""Runs failures again: one, some or all that filters select, counted first, and also with other parameters."""

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.index import selection
from console.index.selection import FilterError, Filters
from console.pipeline import resending
from console.web import console as shared
from console.web import forms, snippets
from console.web.console import Console
from console.web.forms import Fields
from event_inference import InputError
from event_inference.inputs import parameters as known
from event_inference.inputs.parameters import NAMES as PARAMETERS
from event_inference.outcomes import reading

_MOST = 500  # inputs of a selection that no single order can express, or that are sent again with other parameters
_WITH = "with."  # before the names of parameters in a form
_ORDERED = {"prefix", "code", "since", "until"}  # what a replay order can select by


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay would do: the orders that it takes, and the documents that it runs again."""

    documents: list[str]
    orders: list[dict[str, Any]]
    left_out: int


@dataclass(frozen=True, slots=True)
class Resending:
    """Inputs that were sent again with other parameters, why others were not, and how many were messages."""

    sent: int
    parameters: dict[str, str]
    troubles: list[str]
    messages: int


@forms.posted
def confirm(request: Request, fields: Fields) -> Response:
    """Count what a replay would start, before anything does."""
    console = shared.of(request)
    replay = _chosen(console, fields)
    return shared.page(
        request,
        "partials/confirm_replay.html",
        replay=replay,
        examples=[row["name"] for name in replay.documents[:5] if (row := console.index.input(name))],
        fields=fields,
        most=_MOST,
        parameters=[name for name in PARAMETERS if name not in ("model", "version")],
        snippets=snippets.replay(console.client.target, replay.orders),
    )


@forms.posted
def replay(request: Request, fields: Fields) -> Response:
    """Publish the orders of a replay that was confirmed, or send its inputs again with other parameters."""
    console = shared.of(request)
    chosen = _chosen(console, fields)
    if parameters := _parameters(fields):
        return shared.page(request, "partials/resent.html", resending=_resend(console, chosen, parameters))
    for criteria in chosen.orders:
        console.client.replay(**_typed(criteria))
    console.refresher.soon()
    return shared.page(request, "partials/replayed.html", count=len(chosen.documents))


@forms.posted
def again(request: Request, fields: Fields) -> Response:
    """Send an input once more, as a new generation with other parameters."""
    console, name = shared.of(request), dict(fields).get("name", "")
    parameters = {key: value for key, value in fields if value and key != "name"}
    sent = resending.resend(console.client, name, parameters)
    console.refresher.soon()
    made = snippets.resend(console.client.target, name, sent.metadata, sent.content_type)
    return shared.page(request, "partials/sent_again.html", document=sent.document, name=name, snippets=made)


def _parameters(fields: Fields) -> dict[str, str]:
    """The parameters of the form: those with a field of their own, and one whose name is chosen."""
    values = {name.removeprefix(_WITH): value.strip() for name, value in fields if name.startswith(_WITH)}
    chosen, value = values.pop("name", ""), values.pop("value", "")
    return {name: text for name, text in {**values, chosen: value}.items() if name and text}


def _resend(console: Console, replay: Replay, parameters: dict[str, str]) -> Resending:
    """Send the inputs of failures again; messages have no object, so they are left out."""
    if len(replay.documents) > _MOST:
        raise FilterError(f"At most {_MOST} inputs can be sent again with other parameters at a time, and these are "
                          f"{len(replay.documents):,}. Filter by less.")  # fmt: skip
    rows = [row for document in replay.documents if (row := console.index.input(document))]
    known.metadata(parameters)  # a parameter that does not exist is refused before anything is sent

    def send(name: str) -> str:
        try:
            resending.resend(console.client, name, parameters)
        except InputError as error:
            return str(error)
        return ""

    objects = list(dict.fromkeys(row["name"] for row in rows if row["generation"]))
    troubles = [trouble for trouble in reading.concurrently(send, objects) if trouble]
    messages = sum(not row["generation"] for row in rows)
    console.refresher.soon()
    return Resending(len(objects) - len(troubles), parameters, troubles, messages)


def _chosen(console: Console, fields: Fields) -> Replay:
    """The failures that were selected one by one, or else those that the filters select."""
    documents = [value for name, value in fields if name == "document"]
    if documents or "selected" in dict(fields):
        placed = [console.index.input(document) for document in documents[:_MOST]]
        failed = [row["document"] for row in placed if row and row["state"] == "failed"]
        return Replay(failed, [{"prefix": document} for document in failed], len(documents) - len(failed))
    filters = Filters.of({**dict(fields), "state": "failed"})
    condition, values = filters.where()
    found = console.index.rows(f"SELECT document FROM inputs WHERE {condition} LIMIT 10001", values)  # noqa: S608
    names = [row["document"] for row in found]
    criteria = {name: value for name, value in asdict(filters).items() if name in _ORDERED and value}
    others = {"q", "kind", "label", "model", "below", "latest"}
    if any(getattr(filters, name) for name in others):
        if len(names) > _MOST:
            raise FilterError(f"These filters select {len(names):,} failures, and at most {_MOST} can be run again by "
                              "them. Filter by name, reason and time alone, or by less.")  # fmt: skip
        return Replay(names, [{"prefix": name} for name in names], 0)
    return Replay(names, [criteria | {"limit": max(1, min(len(names), 10_000))}] if names else [], 0)


def _typed(criteria: dict[str, Any]) -> dict[str, Any]:
    """Times as the client takes them."""
    times = {name: selection.moment(criteria[name]) for name in ("since", "until") if name in criteria}
    return criteria | times
