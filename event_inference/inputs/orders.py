"""Orders to the pipeline: messages to its topic that start a replay, a sweep or a collection (docs/messages.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from event_inference.access.clients import MAX_MESSAGE, Connection
from event_inference.errors import InputError

DEFAULT_REPLAYED, MAX_REPLAYED = 1_000, 10_000
MAX_SWEPT = 1_000
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Order:
    """A published message; the pipeline obeys it within seconds and reports counts in its log."""

    message_id: str
    content: Mapping[str, Any]


def publish(connection: Connection, content: Mapping[str, Any], topic: str = "") -> Order:
    """Publish a message to the pipeline's topic, or another one by its resource name.

    Raises:
        InputError: it is longer than the pipeline reads.
    """
    data = json.dumps(content, ensure_ascii=False).encode()
    if len(data) > MAX_MESSAGE:
        raise InputError(f"The message has {len(data):,} bytes, and at most {MAX_MESSAGE:,} are read. Upload a file.")
    request = {"topic": topic or connection.target.topic_path, "messages": [{"data": data}]}
    published = connection.publisher.publish(request=request, timeout=_TIMEOUT_S)
    return Order(published.message_ids[0], content)


def replay(
    *, prefix: str = "", code: str = "", since: datetime | None = None, until: datetime | None = None,
    limit: int | None = None, partial: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The message that runs failed documents again.

    Raises:
        InputError: a time has no time zone, or the limit is out of range.
    """
    _check_limit(limit, MAX_REPLAYED)
    criteria = {
        "prefix": prefix, "code": code, "since": _rfc3339(since), "until": _rfc3339(until), "limit": limit,
        "partial": partial,
    }  # fmt: skip
    return {"replay": {name: value for name, value in criteria.items() if value}}


def sweep(*, prefix: str = "", limit: int | None = None) -> dict[str, Any]:
    """The message that starts inputs without a document.

    Raises:
        InputError: the limit is out of range.
    """
    _check_limit(limit, MAX_SWEPT)
    return {"sweep": {name: value for name, value in {"prefix": prefix, "limit": limit}.items() if value}}


def collect(*, limit: int | None = None) -> dict[str, Any]:
    """The message that takes in uploads that wait for micro-batches.

    Raises:
        InputError: the limit is not positive.
    """
    _check_limit(limit, None)
    return {"collect": {"limit": limit} if limit else {}}


def _check_limit(limit: int | None, largest: int | None) -> None:
    if limit is not None and (limit < 1 or (largest and limit > largest)):
        raise InputError(f"limit must be at least 1{f' and at most {largest:,}' if largest else ''}, not {limit}.")


def _rfc3339(moment: datetime | None) -> str:
    if moment is None:
        return ""
    if moment.tzinfo is None:
        raise InputError(f"{moment} needs a time zone, such as datetime.now(UTC).")
    return moment.isoformat()
