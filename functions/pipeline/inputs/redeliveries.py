"""Redeliveries: which message a dead letter was, noted under what stays the same when Pub/Sub gives it a new id.

redeliveries/<digest>.json of the work bucket: {topic, message_id}. The digest is of publish time, data and attributes.
"""

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline.inputs.events import Message
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

DEAD_LETTER_SOURCE = "CloudPubSubDeadLetterSource"
"""What the names of the attributes begin with that Pub/Sub adds to a dead letter."""


def note(work: "Bucket", message: Message) -> None:
    """Keeps which message this is for the case that it ends as a dead letter; costs one write per redelivery."""
    if message.attempt < 2 or not message.published:
        return
    blob = work.blob(_name(message, message.published))
    try:
        put(blob, json.dumps({"topic": message.topic, "message_id": message.id}), stamp("redelivery"), generation=0)
    except PreconditionFailed:
        return


def original(work: "Bucket", message: Message, published: str) -> tuple[str, str] | None:
    """Topic and id under which the message was delivered, where a redelivery has noted them."""
    try:
        noted = json.loads(work.blob(_name(message, published)).download_as_bytes())
    except NotFound:
        return None
    return noted["topic"], noted["message_id"]


def _name(message: Message, published: str) -> str:
    own = {key: value for key, value in message.attributes.items() if not key.startswith(DEAD_LETTER_SOURCE)}
    identity = json.dumps([_milliseconds(published), message.data or "", sorted(own.items())])
    return f"redeliveries/{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"


def _milliseconds(moment: str) -> str:
    """The time in one spelling, whatever the service's precision."""
    try:
        return datetime.fromisoformat(moment).isoformat(timespec="milliseconds")
    except ValueError:
        return moment
