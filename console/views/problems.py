"""Failures and rejections by reason, and "why did nothing start?"."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.index.selection import LATEST, Filters
from console.index.store import Row
from console.pipeline import diagnosis
from console.web import console as shared
from console.web import forms, live, snippets
from console.web.console import Console
from console.web.forms import Fields

_GROUPS = f"""
SELECT state, code, step, count(*) AS n, max(changed) AS newest, min(message) AS example,
       sum(NOT {LATEST}) AS replaced
FROM inputs WHERE state IN ('rejected', 'failed', 'partial', 'unsuccessful')
GROUP BY state, code, step ORDER BY state = 'failed' DESC, n DESC LIMIT 60
"""  # noqa: S608


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
    return live.stream(request, lambda: shared.render(console, token, "partials/problems.html", **_groups(console)))


def _groups(console: Console) -> dict[str, Any]:
    groups = console.index.rows(_GROUPS)
    failed = sum(group["n"] for group in groups if group["state"] == "failed")
    return {"groups": [(group, _filters(group)) for group in groups], "failed": failed}


def _filters(group: Row) -> Filters:
    return Filters(state=group["state"], code=group["code"] or "")


@forms.posted
def sweep(request: Request, fields: Fields) -> Response:
    console, name = shared.of(request), dict(fields).get("name", "")
    console.client.sweep(prefix=name)
    console.refresher.soon()
    return shared.page(request, "partials/swept.html", name=name)
