"""Events: the attempts to deliver them, what still waits, and dead letters."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.web import console as shared
from event_inference.access.clients import translated

_SHOWN = 100
_DEAD = "CloudPubSubDeadLetterSourceDeliveryCount"


def page(request: Request) -> Response:
    console = shared.of(request)
    target = console.client.target
    only_failed = "failed" in request.query_params
    if console.emulator is None:
        dead = console.index.rows("SELECT * FROM inputs WHERE code LIKE 'dead%' ORDER BY changed DESC LIMIT 50")
        pages = {
            "Subscriptions": f"https://console.cloud.google.com/cloudpubsub/subscription/list?project={target.project}",
            "Triggers": f"https://console.cloud.google.com/eventarc/triggers?project={target.project}",
        }
        return shared.page(request, "events.html", attempts=[], backlogs=[], dead=dead, google=pages, triggers=[],
                           only_failed=only_failed, totals={})  # fmt: skip
    with translated(target):
        found = console.emulator.deliveries(2000)
        triggers = console.emulator.stack()["triggers"]
    attempts = [attempt for attempt in found["attempts"] if not only_failed or not attempt["acknowledged"]]
    return shared.page(
        request,
        "events.html",
        attempts=[_attempt(attempt) for attempt in attempts[:_SHOWN]],
        backlogs=[_backlog(backlog) for backlog in found["backlogs"]],
        dead=[],
        google={},
        triggers=triggers,
        only_failed=only_failed,
        totals={
            "attempts": len(found["attempts"]),
            "failed": sum(not attempt["acknowledged"] for attempt in found["attempts"]),
            "dead": sum(not each["acknowledged"] and each["again_in"] is None for each in found["attempts"]),
        },
    )


def _attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    attributes = attempt["attributes"]
    if attempt["acknowledged"]:
        sentence = "accepted"
    elif attempt["again_in"] is None:
        sentence = f"answered {attempt['outcome']}; it was the last attempt, and the event became a dead letter"
    else:
        sentence = f"answered {attempt['outcome']}; again after {attempt['again_in']:.1f} s"
    subject = attributes.get("objectId") or f"message {attempt['message_id']}"
    trigger = attempt["subscription"].removesuffix("-sub").split("-", 1)[-1]
    return {**attempt, "subject": subject, "sentence": sentence, "trigger": _trigger(trigger),
            "is_object": "objectId" in attributes, "is_dead_letter": _DEAD in attributes}  # fmt: skip


def _trigger(name: str) -> str:
    """The trigger's own name in `LOCATION-NAME`, whose location has one hyphen."""
    parts = name.split("-", 2)
    return parts[2] if len(parts) == 3 else name


def _backlog(backlog: dict[str, Any]) -> dict[str, Any]:
    name = backlog["subscription"]
    shown = _trigger(name.removesuffix("-sub").split("-", 1)[-1]) if name.startswith("eventarc-") else name
    return {**backlog, "shown": shown}
