"""Reads the content of a Pub/Sub message: JSON, or Cloud Storage's notification of an object."""

import base64
from typing import Any

from pipeline import storage
from pipeline.errors import MalformedError, RejectedError
from pipeline.formats import json_text
from pipeline.inputs.events import Message, Receipt
from pipeline.inputs.uploads import Upload
from pipeline.jobs.job import Job, MessageInput, document_of_message, of_message
from pipeline.settings import Settings

FINALIZE = "OBJECT_FINALIZE"


def job(message: Message, receipt: Receipt) -> Job:
    """The job of a message under its own topic and id."""
    size = len(message.data) * 3 // 4 if isinstance(message.data, str) else 0
    return Job(
        id=of_message(message.topic, message.id),
        document=document_of_message(message.topic, message.id),
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=MessageInput(message.topic, message.id, size),
        trace=receipt.trace,
        hops=storage.hops(message.attributes),
        created_at=message.published,
    )


def event_type(message: Message) -> str | None:
    """Cloud Storage's name for the event that a notification announces; None for any other message."""
    return message.attributes.get("eventType") if "bucketId" in message.attributes else None


def upload(settings: Settings, message: Message) -> Upload:
    """The object that a notification announces.

    Raises:
        RejectedError: `unknown_message`, `foreign_bucket`, or any of `body`.
    """
    if event_type(message) != FINALIZE:
        raise RejectedError("unknown_message", "The message is not a notification of a new object.")
    try:
        announced = Upload.parse(_resource(message, settings.max_bytes["message"]))
    except MalformedError as error:
        raise RejectedError(
            "unknown_message", f"The notification does not identify an object: {error.message}"
        ) from error
    if announced.bucket != settings.input_bucket and not announced.is_stamped:
        raise RejectedError("foreign_bucket", f"{announced.bucket!r} is not the input bucket.")
    return announced


def identity(message: Message) -> dict[str, str | None]:
    """The fields of the object resource that a notification repeats in its attributes."""
    attributes = message.attributes
    return {
        "bucket": attributes.get("bucketId"),
        "name": attributes.get("objectId"),
        "generation": attributes.get("objectGeneration"),
    }


def body(message: Message, limit: int) -> dict[str, Any]:
    """The data, a JSON object of at most `limit` bytes.

    Raises:
        RejectedError: `empty_message`, `invalid_base64`, `too_large`, `invalid_json` or `unknown_message`.
    """
    value = json_text.parse(_text(message.data, limit))
    if not isinstance(value, dict):
        raise RejectedError("unknown_message", "The message must be a JSON object.")
    return value


def _resource(message: Message, limit: int) -> object:
    """The object resource, from the attributes if the notification has no payload (payloadFormat NONE)."""
    return identity(message) if message.attributes.get("payloadFormat") == "NONE" else body(message, limit)


def _text(data: object, limit: int) -> str:
    if not data:
        raise RejectedError("empty_message", "The message has no data.")
    if not isinstance(data, str):
        raise RejectedError("invalid_base64", "The message's data must be base64.")
    if len(data) * 3 // 4 > limit:
        raise RejectedError("too_large", f"The message has more than {limit:,} bytes.")
    try:
        return base64.b64decode(data, validate=True).decode()
    except UnicodeDecodeError as error:
        raise RejectedError("invalid_json", "The message's data is not UTF-8.") from error
    except ValueError as error:  # binascii.Error, or a plain ValueError for non-ASCII data
        raise RejectedError("invalid_base64", "The message's data is not valid base64.") from error
