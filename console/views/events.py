"""Events: the attempts to deliver them, what still waits, and dead letters."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.web import console as shared
from console.web import live
from console.web.console import Console
from event_inference.access.clients import translated

_SHOWN = 100
_PAUSE_S = 1.0  # between two looks at the deliveries
_DEAD = "CloudPubSubDeadLetterSourceDeliveryCount"
_DEAD_LETTERS = "SELECT * FROM inputs WHERE state = 'failed' AND code = 'undeliverable' ORDER BY changed DESC LIMIT 50"


def page(request: Request) -> Response:
    console = shared.of(request)
    return shared.page(request, "events.html", **_values(console, request))


def live_page(request: Request) -> Response:
    console, token = shared.of(request), request.state.token

    def version() -> object:
        """Differs with the index, and on the laptop, where deliveries are visible, with the time."""
        return console.index.version, 0 if console.emulator is None else time.monotonic() // _PAUSE_S

    def render() -> str:
        return shared.render(console, token, "partials/events.html", **_values(console, request))

    return live.stream(request, render, version=version)


def _values(console: Console, request: Request) -> dict[str, Any]:
    only_failed, name = "failed" in request.query_params, request.query_params.get("name", "").strip()
    found: dict[str, Any] = {"attempts": [], "backlogs": [], "totals": {}}
    if console.emulator is not None:
        with translated(console.client.target):
            found = console.emulator.deliveries(_SHOWN, failed_only=only_failed, contains=name)
    return {
        "attempts": [_attempt(attempt) for attempt in found["attempts"]],
        "backlogs": [_backlog(backlog) for backlog in found["backlogs"]],
        "totals": found["totals"],
        "dead": console.index.rows(_DEAD_LETTERS),
        "google": _google(console),
        "only_failed": only_failed,
        "name": name,
    }


def _google(console: Console) -> dict[str, str]:
    """Google's pages for what only they show; empty on the laptop."""
    project = console.client.target.project
    if console.emulator is not None:
        return {}
    return {
        "Subscriptions": f"https://console.cloud.google.com/cloudpubsub/subscription/list?project={project}",
        "Triggers": f"https://console.cloud.google.com/eventarc/triggers?project={project}",
    }


def _attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    attributes = attempt["attributes"]
    subject = attributes.get("objectId") or f"message {attempt['message_id']}"
    trigger = attempt["subscription"].removesuffix("-sub").split("-", 1)[-1]
    return {**attempt, "subject": subject, "sentence": _outcome(attempt), "trigger": _trigger(trigger),
            "is_object": "objectId" in attributes, "is_dead_letter": _DEAD in attributes}  # fmt: skip


def _outcome(attempt: dict[str, Any]) -> str:
    """What became of an attempt, and what follows."""
    if attempt["acknowledged"]:
        return "accepted"
    outcome = attempt["outcome"]
    answer = f"answered {outcome}" if isinstance(outcome, int) else f"no answer: {outcome}"
    if attempt["again_in"] is None:
        return f"{answer}; that was the last attempt"
    return f"{answer}; again after {attempt['again_in']:.1f} s"


def _trigger(name: str) -> str:
    """The trigger's own name in `LOCATION-NAME`, whose location has one hyphen."""
    parts = name.split("-", 2)
    return parts[2] if len(parts) == 3 else name


def _backlog(backlog: dict[str, Any]) -> dict[str, Any]:
    name = backlog["subscription"]
    shown = _trigger(name.removesuffix("-sub").split("-", 1)[-1]) if name.startswith("eventarc-") else name
    return {**backlog, "shown": shown}
