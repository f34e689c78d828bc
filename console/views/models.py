"""Models and their versions, traffic, experiments and decisions; what they words, and how sure they were."""

import json
from typing import Any

from google.api_core.exceptions import NotFound
from starlette.requests import Request
from starlette.responses import Response

from console.views import experiments
from console.web import console as shared
from console.web import snippets
from console.web.console import Console
from event_inference import UnreachableError
from event_inference.access.clients import translated
from event_inference.outcomes import reading

_REASON = "the answers look wrong"  # for the user to replace
_USE = """
SELECT model, version, count(*) AS n, avg(confidence) AS confidence, sum(review) AS review, avg(latency) AS latency,
       sum(usd) AS usd, max(changed) AS newest
FROM inputs WHERE model IS NOT NULL GROUP BY model, version ORDER BY n DESC
"""
_LABELLED = """
SELECT i.model, i.version, count(*) AS n, sum(l.label = i.label) AS agree
FROM labels l JOIN inputs i ON i.job = l.job WHERE i.label IS NOT NULL GROUP BY i.model, i.version
"""


def page(request: Request) -> Response:
    console = shared.of(request)
    served, trouble = _served(console)
    with translated(console.client.target):
        routes, traffic, decisions = _of_bucket(console)
    labelled = {(row["model"], row["version"]): row for row in console.index.rows(_LABELLED)}
    return shared.page(
        request,
        "models.html",
        served=served,
        trouble=trouble,
        use=console.index.rows(_USE),
        labelled=labelled,
        traffic=traffic,
        routes=routes,
        decisions=decisions,
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


def _served(console: Console) -> tuple[list[dict[str, Any]], str]:
    try:
        return console.client.models(), ""
    except UnreachableError as error:
        return [], str(error)


def _of_bucket(console: Console) -> tuple[list[Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The rules, the traffic of each model with its evidence, and the decisions; empty without a models bucket."""
    bucket = console.client.connection.storage.bucket(console.client.target.models_bucket)
    registry, traffic = reading.read_json(bucket, "models.json"), reading.read_json(bucket, "traffic.json")
    try:
        decisions = experiments.decisions(bucket)
    except NotFound:
        return [], [], []
    divided = [
        {
            "model": name,
            "sentence": experiments.traffic_sentence(entry),
            "evidence": experiments.evidence(bucket, name, entry),
            "snippets": snippets.promote(console.client.target, name, "freeze", _REASON),
        }
        for name, entry in (traffic.items() if isinstance(traffic, dict) else ())
        if isinstance(entry, dict)
    ]
    routes = registry.get("routes") if isinstance(registry, dict) else None
    return routes or [], divided, decisions
