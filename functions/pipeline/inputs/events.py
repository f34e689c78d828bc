"""Reads CloudEvents: what Cloud Storage and Pub/Sub deliver, as plain values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import flask

from pipeline import storage
from pipeline.errors import MalformedError
from pipeline.inputs import sidecars
from pipeline.jobs.job import Input, int64

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent
    from google.cloud.storage import Blob

FINALIZED = "google.cloud.storage.object.v1.finalized"
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
TOPIC = re.compile(r"^//pubsub\.googleapis\.com/(projects/[^/]+/topics/([^/]+))$")
MESSAGE_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """When and as part of what an event arrived."""

    event_id: str
    received_at: str
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """One generation of an object, as an event or a listing names it; `size` None when it does not say."""

    bucket: str
    name: str
    generation: int
    size: int | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: object) -> Self:
        """Reads an object resource.

        Raises:
            MalformedError: bucket, name or generation is missing, or a field is of the wrong type.
        """
        if not isinstance(data, dict):
            raise MalformedError("The event's data must be an object resource.")
        bucket, name = (_text(data, key) for key in ("bucket", "name"))
        if not _is_object_name(name):
            raise MalformedError("name must be an object name: Unicode on one line, at most 1,024 bytes of UTF-8.")
        size, content_type, metadata = (data.get(key) for key in ("size", "contentType", "metadata"))
        if content_type is not None and not (isinstance(content_type, str) and content_type.isprintable()):
            raise MalformedError("contentType must be a string.")
        if metadata is not None and not isinstance(metadata, dict):
            raise MalformedError("metadata must be an object.")
        return cls(
            bucket=bucket,
            name=name,
            generation=int64(data.get("generation"), "generation"),
            size=None if size is None else int64(size, "size"),
            content_type=content_type,
            metadata={key: value for key, value in (metadata or {}).items() if isinstance(value, str)},
        )

    @classmethod
    def of_blob(cls, blob: "Blob") -> Self:
        return cls(
            bucket=blob.bucket.name,
            name=blob.name,
            generation=blob.generation,
            size=blob.size,
            content_type=blob.content_type,
            metadata=dict(blob.metadata or {}),
        )

    @property
    def hops(self) -> int:
        return storage.hops(self.metadata)

    @property
    def is_input(self) -> bool:
        """Whether it asks for anything itself: not the empty object that makes a folder appear, nor a side-car."""
        is_folder = self.name.endswith("/") and self.size == 0
        return not is_folder and not sidecars.is_sidecar(self.name)

    def source(self) -> Input:
        return Input(self.bucket, self.name, self.generation, self.size or 0, self.content_type)


@dataclass(frozen=True, slots=True)
class Message:
    """A Pub/Sub message; `data` is still base64, None when there is none.

    `topic` is an id, `path` the topic's resource name where the event tells it; `attempt` counts deliveries from 1.
    """

    topic: str
    id: str
    data: object
    attributes: Mapping[str, str]
    path: str | None = None
    published: str | None = None
    attempt: int = 1

    @classmethod
    def parse(cls, event: "CloudEvent") -> Self:
        """Reads a messagePublished event.

        Raises:
            MalformedError: there is no message, or it has no usable id.
        """
        data = event.data
        message = data.get("message") if isinstance(data, dict) else None
        if not isinstance(message, dict):
            raise MalformedError("The event's data must hold a message.")
        message_id = message.get("messageId") or message.get("message_id")
        if not isinstance(message_id, str) or not MESSAGE_ID.fullmatch(message_id):
            raise MalformedError("message.messageId must be a string of letters, digits, dots, dashes.")
        attributes = message.get("attributes") or {}
        if not isinstance(attributes, dict):
            raise MalformedError("message.attributes must be an object.")
        topic = TOPIC.search(str(event["source"]))
        published, attempt = message.get("publishTime"), data.get("deliveryAttempt")
        return cls(
            topic=topic[2] if topic else "unknown",  # a bare push names its topic in the path, or not at all
            id=message_id,
            data=message.get("data"),
            attributes={key: value for key, value in attributes.items() if isinstance(value, str)},
            path=topic[1] if topic else None,
            published=published if isinstance(published, str) else None,
            attempt=attempt if type(attempt) is int else 1,
        )


def _is_object_name(name: str) -> bool:
    try:
        return len(name.encode()) <= 1024 and "\n" not in name and "\r" not in name
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def receipt(event: "CloudEvent") -> Receipt:
    extension = event.get("traceparent")
    trace = extension if isinstance(extension, str) and TRACEPARENT.fullmatch(extension) else request_trace()
    return Receipt(str(event["id"]), now(), trace)


def now() -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def request_trace() -> str | None:
    """The W3C traceparent of the request being served, if it carries a valid one."""
    header = flask.request.headers.get("traceparent", "") if flask.has_request_context() else ""
    return header if TRACEPARENT.fullmatch(header) else None


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedError(f"{key} must be a string, and not empty.")
    return value
