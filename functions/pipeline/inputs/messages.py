"""Reads what a Pub/Sub message carries: JSON, or Cloud Storage's notification of an object."""

import base64
from typing import Any

from pipeline import storage
from pipeline.errors import MalformedError, RejectedError
from pipeline.formats import json_text
from pipeline.inputs.events import Message, Receipt, Upload
from pipeline.jobs.job import Job, MessageInput, of_message
from pipeline.settings import Settings

FINALIZE = "OBJECT_FINALIZE"


def job_of(message: Message, receipt: Receipt) -> Job:
    """The job under the message's own name."""
    size = len(message.data) * 3 // 4 if isinstance(message.data, str) else 0
    return Job(
        id=of_message(message.topic, message.id),
        document=f"messages/{message.topic}/{message.id}",
        event_id=receipt.event_id,
        received_at=receipt.received_at,
        input=MessageInput(message.topic, message.id, size),
        trace=receipt.trace,
        hops=storage.hops(message.attributes),
    )


def change(message: Message) -> str | None:
    """What happened to an object, in Cloud Storage's words; None when the message is no notification."""
    return message.attributes.get("eventType") if "bucketId" in message.attributes else None


def upload(settings: Settings, message: Message) -> Upload:
    """The object that a notification announces.

    Raises:
        RejectedError: `unknown_message`: it names none; `foreign_bucket`, or what `body` finds wrong.
    """
    if change(message) != FINALIZE:
        raise RejectedError("unknown_message", "The message is no notification of a new object.")
    try:
        announced = Upload.parse(_resource(message, settings.max_bytes["message"]))
    except MalformedError as error:
        raise RejectedError("unknown_message", f"The notification names no object: {error}") from error
    if announced.bucket != settings.input_bucket and not storage.is_stamped(announced.metadata):
        raise RejectedError("foreign_bucket", f"The bucket {announced.bucket!r} is not the one that is processed.")
    return announced


def named(message: Message) -> dict[str, str | None]:
    """The object resource, as far as a notification's attributes tell it."""
    said = message.attributes
    return {
        "bucket": said.get("bucketId"),
        "name": said.get("objectId"),
        "generation": said.get("objectGeneration"),
    }


def body(message: Message, limit: int) -> dict[str, Any]:
    """The data, a JSON object.

    Raises:
        RejectedError: `empty_message`, `invalid_base64`, `too_large`, `invalid_json` or `unknown_message`.
    """
    value = json_text.parse(_text(message.data, limit))
    if not isinstance(value, dict):
        raise RejectedError("unknown_message", "The message must be a JSON object.")
    return value


def _resource(message: Message, limit: int) -> Any:
    """The object resource; without a payload (payloadFormat NONE) the attributes name the object."""
    return named(message) if message.attributes.get("payloadFormat") == "NONE" else body(message, limit)


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
    except ValueError as error:  # binascii's own for most of it, a plain one for what is not ASCII
        raise RejectedError("invalid_base64", "The message's data is not valid base64.") from error
