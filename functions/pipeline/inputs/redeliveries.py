"""Redeliveries: notes that tell which message a dead letter was, after Pub/Sub has given it a new id.

redeliveries/<digest>.json of the work bucket holds {topic, message_id}. The digest is of what both share: publish time,
data and attributes.
"""

import hashlib
import json
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound, PreconditionFailed

from pipeline import times
from pipeline.inputs.events import Message
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

DEAD_LETTER_SOURCE = "CloudPubSubDeadLetterSource"
"""The prefix of the attributes that Pub/Sub adds to a dead letter."""


def note(work: "Bucket", message: Message) -> None:
    """Notes a redelivered message's topic and id, in case it ends as a dead letter; one write per redelivery."""
    if message.attempt < 2 or not message.published:
        return
    blob = work.blob(_name(message, message.published))
    try:
        put(blob, json.dumps({"topic": message.topic, "message_id": message.id}), stamp("redelivery"), generation=0)
    except PreconditionFailed:
        return


def original(work: "Bucket", message: Message, published: str) -> tuple[str, str] | None:
    """The topic and id that a dead letter had before, if a redelivery has noted them."""
    try:
        noted = json.loads(work.blob(_name(message, published)).download_as_bytes())
    except NotFound:
        return None
    return noted["topic"], noted["message_id"]


def _name(message: Message, published: str) -> str:
    attributes = {key: value for key, value in message.attributes.items() if not key.startswith(DEAD_LETTER_SOURCE)}
    identity = json.dumps([_milliseconds(published), message.data or "", sorted(attributes.items())])
    return f"redeliveries/{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"


def _milliseconds(published: str) -> str:
    """The time in one notation, since the two messages may have it with different precision."""
    try:
        return times.parse(published).isoformat(timespec="milliseconds")
    except ValueError:
        return published
