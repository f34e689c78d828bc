"""Redeliveries: notes that tell which message a dead letter was, after Pub/Sub has given it a new id.

redeliveries/<digest>/<job>.json of the output bucket holds {topic, message_id}. The digest is of what both share:
publish time, data and attributes. Equal messages have a note each. A dead letter takes one of them, which its metadata
record; which one does not matter, except that messages without a document come first.

The notes lie beside the documents, since a dead letter may come after the work bucket has deleted all that it held.
"""

import hashlib
import json
from typing import TYPE_CHECKING

from google.api_core.exceptions import PreconditionFailed

from pipeline import times
from pipeline.deployment import Deployment
from pipeline.inputs.events import Message
from pipeline.jobs import outcomes
from pipeline.jobs.job import document_of_message, of_message
from pipeline.storage import put, stamp

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

DEAD_LETTER_SOURCE = "CloudPubSubDeadLetterSource"
"""The prefix of the attributes that Pub/Sub adds to a dead letter."""


DEAD_LETTER = "pipeline-dead-letter"
"""The metadata that name the dead letter which took a note."""


def note(output: "Bucket", message: Message) -> None:
    """Notes a redelivered message's topic and id, in case it ends as a dead letter; one write per redelivery."""
    if message.attempt < 2 or not message.published:
        return
    blob = output.blob(f"{_folder(message, message.published)}{of_message(message.topic, message.id)}.json")
    try:
        put(blob, _note(message.topic, message.id), stamp("redelivery"), generation=0)
    except PreconditionFailed:
        return


def original(deployment: Deployment, message: Message, published: str) -> tuple[str, str] | None:
    """The topic and id that a dead letter had before, if a redelivery has noted them; the same at every call."""
    while True:
        notes = list(deployment.output.list_blobs(prefix=_folder(message, published)))
        taken = next((blob for blob in notes if (blob.metadata or {}).get(DEAD_LETTER) == message.id), None)
        if taken:
            return _read(taken)
        free = [(blob, _read(blob)) for blob in notes if DEAD_LETTER not in (blob.metadata or {})]
        if not free:
            return None
        chosen, identity = next((each for each in free if not _is_begun(deployment, *each[1])), free[0])
        try:
            put(chosen, _note(*identity), chosen.metadata | {DEAD_LETTER: message.id}, generation=chosen.generation)
        except PreconditionFailed:
            continue  # another dead letter has taken it
        return identity


def _note(topic: str, message_id: str) -> str:
    return json.dumps({"topic": topic, "message_id": message_id})


def _read(noted: "Blob") -> tuple[str, str]:
    identity = json.loads(noted.download_as_bytes())
    return identity["topic"], identity["message_id"]


def _is_begun(deployment: Deployment, topic: str, message_id: str) -> bool:
    """Whether a noted message was claimed, or has its outcome or document."""
    job = of_message(topic, message_id)
    if any(deployment.work.blob(f"{folder}/{job}.json").exists() for folder in ("claims", "outcomes")):
        return True
    return bool(outcomes.terminal(deployment.output, document_of_message(topic, message_id)))


def _folder(message: Message, published: str) -> str:
    attributes = {key: value for key, value in message.attributes.items() if not key.startswith(DEAD_LETTER_SOURCE)}
    identity = json.dumps([_milliseconds(published), message.data or "", sorted(attributes.items())])
    return f"redeliveries/{hashlib.sha256(identity.encode()).hexdigest()[:32]}/"


def _milliseconds(published: str) -> str:
    """The time in one notation, since the two messages may have it with different precision."""
    try:
        return times.parse(published).isoformat(timespec="milliseconds")
    except ValueError:
        return published
