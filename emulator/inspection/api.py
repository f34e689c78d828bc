"""The debug API under /emulator/v1 (docs/emulator.md): read only, and for the developer alone."""

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from emulator import access
from emulator.googleapi import rest
from emulator.googleapi.errors import InvalidArgumentError, PermissionDeniedError
from emulator.googleapi.messages import Json
from emulator.googleapi.timestamps import rfc3339
from emulator.inspection import log_lines
from emulator.pubsub import PubSub, protos
from emulator.pubsub.attempts import Attempt
from emulator.pubsub.store import Delivery
from emulator.stack.model import Stack
from emulator.workflows_api import Workflows
from emulator.workflows_api.calls import Call

PREFIX = "/emulator/v1"
_LIMIT, _MAX_LIMIT = 200, 5_000


class Inspection:
    """The routes of the debug API.

    Args:
        services: URL of each service, by name.
        logs: folder of the log files; None if the caller writes none.
    """

    def __init__(
        self, stack: Stack, services: Mapping[str, str], pubsub: PubSub, workflows: Workflows, logs: Path | None
    ) -> None:
        self._stack, self._services, self._logs = stack, services, logs
        self._pubsub, self._workflows = pubsub, workflows

    def routes(self) -> list[Route]:
        return [
            _route("stack", self._describe_stack),
            _route("deliveries", self._deliveries),
            _route("calls", self._calls),
            _route("logs/{service}", self._log),
        ]

    async def _describe_stack(self, _: Request) -> Json:
        triggers = [
            {
                "name": trigger.name, "event": trigger.event, "service": trigger.service, "bucket": trigger.bucket,
                "topic": trigger.topic, "deadLetterTopic": trigger.dead_letter_topic,
                "maxDeliveryAttempts": trigger.max_delivery_attempts if trigger.dead_letter_topic else None,
            }
            for trigger in self._stack.triggers
        ]  # fmt: skip
        return {
            "project": self._stack.project,
            "location": self._stack.location,
            "services": dict(self._services),
            "triggers": triggers,
        }

    async def _deliveries(self, request: Request) -> Json:
        limit = _limit(request)
        log, failed_only = self._pubsub.attempts, request.query_params.get("failed") == "true"
        attempts = log.newest(limit, failed_only=failed_only, contains=request.query_params.get("contains", ""))
        backlogs = []
        for name in self._pubsub.names():
            if "/subscriptions/" in name and (count := self._pubsub.backlog(name)):
                waiting = [_waiting(delivery) for delivery in self._pubsub.waiting(name, limit)]
                backlogs.append({"subscription": name.rsplit("/", 1)[1], "messages": count, "waiting": waiting})
        return {
            "attempts": [_attempt(attempt) for attempt in attempts],
            "totals": {"attempts": log.made, "failed": log.failed, "gave_up": log.gave_up},
            "backlogs": backlogs,
        }

    async def _calls(self, request: Request) -> Json:
        execution = request.query_params.get("execution", "")
        if not execution:
            raise InvalidArgumentError("The parameter execution must be the resource name of an execution.")
        return {"calls": [_call(call) for call in self._workflows.calls.of(execution)]}

    async def _log(self, request: Request) -> Json:
        if self._logs is None:
            return {"lines": []}
        words = [word for word in request.query_params.getlist("contains") if word]
        lines = log_lines.newest(self._logs, request.path_params["service"], words, _limit(request))
        return {"lines": lines}


def _route(path: str, answer: Callable[[Request], Awaitable[Json]]) -> Route:
    async def permitted(request: Request) -> Json:
        caller = access.CALLER.get()
        if caller is not None:
            raise PermissionDeniedError(caller.denied("emulator.debug.get", request.url.path))
        return await answer(request)

    return rest.route(f"{PREFIX}/{path}", ["GET"], permitted)


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(_LIMIT))
    if not text.isdecimal() or not 0 < int(text) <= _MAX_LIMIT:
        raise InvalidArgumentError(f"limit must be a whole number from 1 to {_MAX_LIMIT}.")
    return int(text)


def _attempt(attempt: Attempt) -> Json:
    return {
        **{field.name: getattr(attempt, field.name) for field in dataclasses.fields(attempt)},
        "at": rfc3339(int(attempt.at * 1e9)),
    }


def _waiting(delivery: Delivery) -> Json:
    message = protos.Message.FromString(delivery.body)
    return {
        "message_id": str(delivery.message),
        "attempts": delivery.attempts,
        "leased": delivery.leased,
        "due": rfc3339(int(delivery.due * 1e9)),
        "published": rfc3339(int(delivery.published * 1e9)),
        "topic": delivery.topic.rsplit("/", 1)[-1],
        "attributes": dict(message.attributes),
    }


def _call(call: Call) -> Json:
    return {
        "entry": call.entry,
        "method": call.method,
        "url": call.url,
        "started": rfc3339(call.started),
        "seconds": call.seconds,
        "status": call.status,
        "error": call.error,
        "request": _body(call.request, call.request_bytes),
        "response": _body(call.response, call.response_bytes),
    }


def _body(content: bytes, size: int) -> dict[str, Any]:
    """The body as JSON if it is that, else as text; only its beginning if it is long."""
    text = content.decode(errors="replace")
    cut = len(content) < size
    try:
        value = None if cut else json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return {"bytes": size, "text": text, "json": value, "truncated": cut}
