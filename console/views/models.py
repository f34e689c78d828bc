"""Models and their versions, traffic, experiments and decisions; what they said, and how sure they were."""

import json
from typing import Any

from google.api_core.exceptions import NotFound
from starlette.requests import Request
from starlette.responses import Response

from console.web import console as shared
from console.web import wording
from console.web.console import Console
from event_inference import UnreachableError
from event_inference.access.clients import translated
from event_inference.outcomes import reading

_USE = """
SELECT model, version, count(*) AS n, avg(confidence) AS confidence, sum(review) AS review, avg(latency) AS latency,
       sum(usd) AS usd, max(changed) AS newest
FROM inputs WHERE model IS NOT NULL GROUP BY model, version ORDER BY n DESC
"""
_LABELLED = """
SELECT i.model, i.version, count(*) AS n, sum(l.label = i.label) AS agree
FROM labels l JOIN inputs i ON i.job = l.job WHERE i.label IS NOT NULL GROUP BY i.model, i.version
"""
_DECISIONS = 20


def page(request: Request) -> Response:
    console = shared.of(request)
    served, trouble = _served(console)
    with translated(console.client.target):
        traffic = _json(console, "traffic.json")
        routes = (_json(console, "models.json") or {}).get("routes") or []
        decisions = _decisions(console)
    labelled = {(row["model"], row["version"]): row for row in console.index.rows(_LABELLED)}
    return shared.page(
        request,
        "models.html",
        served=served,
        trouble=trouble,
        use=console.index.rows(_USE),
        labelled=labelled,
        traffic=[(name, sentence(entry)) for name, entry in traffic.items()] if isinstance(traffic, dict) else [],
        routes=routes,
        decisions=decisions,
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


def _served(console: Console) -> tuple[list[dict[str, Any]], str]:
    try:
        return console.client.models(), ""
    except UnreachableError as error:
        return [], str(error)


def sentence(entry: dict[str, Any]) -> str:
    """How a model's inputs are divided between its versions, and why."""
    stable, candidate, mode = entry.get("stable"), entry.get("candidate"), entry.get("mode")
    if mode == "split" and candidate:
        share = wording.percent(entry.get("share") or 0)
        text = f"Version {candidate} gets {share} of the inputs, version {stable} the rest."
    elif mode == "shadow" and candidate:
        text = f"Version {stable} answers. Version {candidate} is asked too, and its answers are only compared."
    else:
        text = f"Version {stable} answers everything{'; changes are frozen' if mode == 'frozen' else ''}."
    if entry.get("experiment"):
        text += f" The experiment is {entry['experiment']}"
        text += f", since {entry['since']}." if entry.get("since") else "."
    return f"{text} {entry.get('reason') or ''}".strip()


def _reason(decision: dict[str, Any]) -> str:
    """What a decision did and why, as far as its record says it in words, and its e-values."""
    said = [str(decision[key]) for key in ("action", "reason", "why") if isinstance(decision.get(key), str)]
    values = decision.get("e_values")
    if isinstance(values, dict):
        said.append("e-values: " + ", ".join(f"{name} {value}" for name, value in values.items()))
    return ". ".join(part.rstrip(".") for part in said) + "." if said else "The record says no more in words."


def _decisions(console: Console) -> list[dict[str, Any]]:
    """The newest decisions of all models; their names end in their time."""
    bucket = console.client.connection.storage.bucket(console.client.target.models_bucket)
    try:
        listed = sorted(
            (blob.name for blob in bucket.list_blobs(prefix="decisions/") if blob.name.endswith(".json")),
            key=lambda name: name.rpartition("/")[2],
            reverse=True,
        )[:_DECISIONS]
    except NotFound:  # a deployment without a models bucket
        return []
    found = reading.concurrently(lambda name: reading.read_json(bucket, name), listed)
    return [
        {
            "model": name.split("/")[1],
            "time": name.rpartition("/")[2].removesuffix(".json"),
            "content": content,
            "sentence": _reason(content),
        }
        for name, content in zip(listed, found, strict=True)
        if isinstance(content, dict)
    ]


def _json(console: Console, name: str) -> Any:
    bucket = console.client.connection.storage.bucket(console.client.target.models_bucket)
    return reading.read_json(bucket, name)
