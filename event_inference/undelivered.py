"""Notifications that no attempt could deliver to an endpoint; the pipeline keeps them until they are sent again."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from event_inference.access.clients import Connection
from event_inference.inputs import orders
from event_inference.inputs.orders import Order
from event_inference.outcomes import reading

if TYPE_CHECKING:
    from google.cloud.storage import Blob

_FOLDER = "undelivered/"


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A notification that an endpoint did not take (docs/notifications.md).

    Attributes:
        endpoint: its name in the deployment's configuration.
        id: the header `webhook-id`, which stays the same when it is sent again.
        type: such as `document.failed`.
        document: URI of the document that it is about.
        code, message: why the last attempt failed.
        first_attempt_at, given_up_at: RFC 3339.
        body: what the endpoint would have got.
        name: of the object in the output bucket that keeps it.
    """

    endpoint: str
    id: str
    type: str
    document: str
    code: str
    message: str
    first_attempt_at: str
    given_up_at: str
    body: str
    name: str
    generation: int

    @classmethod
    def parse(cls, blob: "Blob") -> Self:
        record: dict[str, Any] = json.loads(blob.download_as_bytes())
        told = json.loads(record["body"])
        return cls(
            **{key: record[key] for key in ("endpoint", "id", "body", "first_attempt_at", "given_up_at")},
            **record["error"],
            type=told["type"],
            document=told["data"]["document"],
            name=blob.name,
            generation=blob.generation,
        )


def listed(connection: Connection, endpoint: str = "") -> Iterator[Undelivered]:
    """Those of an endpoint, or of all, by endpoint and id."""
    prefix = f"{_FOLDER}{endpoint}/" if endpoint else _FOLDER
    blobs = connection.output.list_blobs(prefix=prefix)
    yield from reading.concurrently(Undelivered.parse, blobs)


def send_again(connection: Connection, notification: Undelivered) -> Order:
    """Have the pipeline try the endpoint anew for as long as at first, and forget that it was given up."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    content = {
        "endpoint": notification.endpoint,
        "id": notification.id,
        "body": notification.body,
        "since": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    order = orders.publish(connection, content, connection.target.notification_retries_path)
    kept = connection.output.blob(notification.name)
    with contextlib.suppress(NotFound, PreconditionFailed):  # sent again by another person, or given up again already
        kept.delete(if_generation_match=notification.generation)
    return order
