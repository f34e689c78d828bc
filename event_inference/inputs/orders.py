"""Orders to the pipeline: messages to its topic that start a replay, a sweep or a collection (docs/messages.md)."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from event_inference.access.clients import MAX_MESSAGE, Connection
from event_inference.errors import InputError

DEFAULT_REPLAYED = 1_000
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Which documents run again.

    Attributes:
        prefix: of the document's name after `failed/`, or after `results/` with `partial`.
        code: of the error.
        since, until: when the document was finished; with a time zone.
        limit: jobs to start at most; None for all.
        partial: the lost shards of partial results, instead of failures.
    """

    prefix: str = ""
    code: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = DEFAULT_REPLAYED
    partial: bool = False

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            InputError: a time has no time zone, or the limit is not positive.
        """
        _check_limit(self.limit)
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise InputError(f"{moment} needs a time zone, such as datetime.now(UTC).")


def replay(criteria: Replay) -> dict[str, Any]:
    """The message that runs failed documents again."""
    values = {name: value for name, value in asdict(criteria).items() if value and name != "limit"}
    if criteria.limit != DEFAULT_REPLAYED:
        values["limit"] = criteria.limit
    return {"replay": {name: v.isoformat() if isinstance(v, datetime) else v for name, v in values.items()}}


def sweep(*, prefix: str = "", limit: int | None = None) -> dict[str, Any]:
    """The message that starts inputs without a document.

    Raises:
        InputError: the limit is not positive.
    """
    _check_limit(limit)
    return {"sweep": {name: value for name, value in {"prefix": prefix, "limit": limit}.items() if value}}


def collect(*, limit: int | None = None) -> dict[str, Any]:
    """The message that starts inputs that have waited long enough, and takes in uploads whose notifications wait.

    Raises:
        InputError: the limit is not positive.
    """
    _check_limit(limit)
    return {"collect": {"limit": limit} if limit else {}}


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}.")
