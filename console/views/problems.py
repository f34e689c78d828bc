"""Failures and rejections, by reason; replays of one, some or all of them; and "why did nothing start?"."""

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.index import selection
from console.index.selection import FilterError, Filters
from console.index.store import Row
from console.pipeline import diagnosis
from console.web import console as shared
from console.web import forms, live, snippets
from console.web.console import Console
from console.web.forms import Fields
from event_inference import InputError
from event_inference.access.clients import translated

_LARGEST = 32 << 20  # bytes of an input that is sent again
_MOST = 500  # replays of a selection that no single order can express
_ORDERED = {"prefix", "code", "since", "until"}  # what a replay order can select by
_GROUPS = """
SELECT state, code, step, count(*) AS n, max(changed) AS newest, min(message) AS example
FROM inputs WHERE state IN ('rejected', 'failed', 'partial', 'unsuccessful')
GROUP BY state, code, step ORDER BY state = 'failed' DESC, n DESC LIMIT 60
"""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay would do: the orders that it takes, and the documents that it runs again."""

    documents: list[str]
    orders: list[dict[str, Any]]
    left_out: int


def overview(request: Request) -> Response:
    console = shared.of(request)
    name = request.query_params.get("name", "").strip()
    found = diagnosis.of_name(console.client, console.emulator, name) if name else None
    return shared.page(
        request,
        "problems.html",
        **_groups(console),
        name=name,
        diagnosis=found,
        sweep_snippets=snippets.sweep(console.client.target, name),
    )


def live_overview(request: Request) -> Response:
    console, token = shared.of(request), request.state.token
    return live.stream(request, lambda: shared.render(console, token, "_problems.html", **_groups(console)))


def _groups(console: Console) -> dict[str, Any]:
    groups = console.index.rows(_GROUPS)
    failed = sum(group["n"] for group in groups if group["state"] == "failed")
    return {"groups": [(group, _filters(group)) for group in groups], "failed": failed}


def _filters(group: Row) -> Filters:
    return Filters(state=group["state"], code=group["code"] or "")


@forms.posted
def confirm(request: Request, fields: Fields) -> Response:
    """Count what a replay would start, before anything does."""
    console = shared.of(request)
    replay = _chosen(console, fields)
    criteria = replay.orders[0] if len(replay.orders) == 1 else {}
    return shared.page(
        request,
        "_confirm_replay.html",
        replay=replay,
        fields=fields,
        snippets=snippets.replay(console.client.target, criteria) if criteria else None,
    )


@forms.posted
def replay(request: Request, fields: Fields) -> Response:
    """Publish the orders of a replay that was confirmed."""
    console = shared.of(request)
    chosen = _chosen(console, fields)
    for criteria in chosen.orders:
        console.client.replay(**_typed(criteria))
    console.refresher.soon()
    return shared.page(request, "_replayed.html", count=len(chosen.documents))


@forms.posted
def sweep(request: Request, fields: Fields) -> Response:
    console, name = shared.of(request), dict(fields).get("name", "")
    console.client.sweep(prefix=name)
    console.refresher.soon()
    return shared.page(request, "_swept.html", name=name)


@forms.posted
def again(request: Request, fields: Fields) -> Response:
    """Send an input once more, as a new generation with other parameters."""
    console, name = shared.of(request), dict(fields).get("name", "")
    parameters = {key: value for key, value in fields if value and key != "name"}
    with translated(console.client.target):
        blob = console.client.connection.input.get_blob(name) if name else None
        if blob is None:
            raise InputError("The input is not there any more, so it cannot be sent again.")
        if (blob.size or 0) > _LARGEST:
            raise InputError("The input is too large to be sent again from here; use einf submit with --parameter.")
        content = blob.download_as_bytes(raw_download=True)
    media_type = blob.content_type
    handle = console.client.submit(content, name=name, content_type=media_type, parameters=parameters, again=True)
    console.refresher.soon()
    return shared.page(request, "_sent_again.html", document=handle.document_name, name=name)


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
