"""CloudEvents that are sent to a function of a local stack once more."""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from event_inference import names
from event_inference.access.clients import translated
from event_inference.access.services import authorized
from event_inference.errors import InputError, TargetError
from event_inference.reader import Reader
from event_inference.targets import Target

if TYPE_CHECKING:
    from google.cloud.storage import Blob

_FINALIZED = "google.cloud.storage.object.v1.finalized"
_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
_SERVICES = {_FINALIZED: "on-upload", _PUBLISHED: "on-message"}
_REQUIRED = ("id", "source", "type")

CloudEvent = dict[str, Any]


def read(file: Path) -> CloudEvent:
    """A CloudEvent in the JSON format.

    Raises:
        InputError: the file cannot be read, or is none.
    """
    try:
        event = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {error}") from error
    missing = [name for name in _REQUIRED if not isinstance(event, dict) or name not in event]
    if missing:
        raise InputError(f"{file} is not a CloudEvent in JSON: it lacks {', '.join(missing)}.")
    return {"specversion": "1.0", **event}


def of_input(client: Reader, name: str) -> CloudEvent:
    """The event of an upload or a message with instances, with the id under which its document was written.

    Args:
        name: of the object, its `gs://` URI, `TOPIC/MESSAGE-ID`, or the id of the job.

    Raises:
        InputError: there is no such input any more.
        UnreachableError: the pipeline does not answer.
    """
    with translated(client.target):
        kept = _kept_message(client, name)
        return _published(client.target, kept) if kept else _finalized(client, name)


def _kept_message(client: Reader, name: str) -> "Blob | None":
    """The object that keeps a message's instances for a week; None if the name is not of such a message."""
    topic, _, message = name.rpartition("/")
    if not names.is_job(name) and topic != client.target.topic:
        return None
    job = name if names.is_job(name) else names.job_of_message(topic, message)
    kept: Blob | None = client.connection.work.get_blob(f"messages/{job}.json")
    return kept


def _published(target: Target, kept: "Blob") -> CloudEvent:
    message = (kept.metadata or {})["document"].rpartition("/id-")[2]
    published = kept.time_created.isoformat()
    return {
        "specversion": "1.0",
        "id": message,
        "type": _PUBLISHED,
        "source": f"//pubsub.googleapis.com/{target.topic_path}",
        "time": published,
        "datacontenttype": "application/json",
        "data": {
            "message": {
                "data": base64.b64encode(kept.download_as_bytes()).decode(),
                "attributes": {},
                "messageId": message,
                "publishTime": published,
            }
        },
    }


def _finalized(client: Reader, name: str) -> CloudEvent:
    handle = client.find(name)
    bucket = client.target.input_bucket
    blob = client.connection.input.get_blob(handle.name, generation=handle.generation or None)
    if blob is None:
        raise InputError(f"gs://{bucket}/{handle.name} has no such generation any more.")
    document = handle.document
    lineage = document.content.get("lineage", {}) if document else {}
    return {
        "specversion": "1.0",
        "id": lineage.get("event_id") or f"replayed-{blob.generation}",
        "type": _FINALIZED,
        "source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        "subject": f"objects/{handle.name}",
        "time": blob.time_created.isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "kind": "storage#object",
            "bucket": bucket,
            "name": blob.name,
            "generation": str(blob.generation),
            "metageneration": str(blob.metageneration),
            "size": str(blob.size),
            "contentType": blob.content_type,
            "contentEncoding": blob.content_encoding,
            "metadata": blob.metadata or {},
            "timeCreated": blob.time_created.isoformat(),
            "updated": blob.updated.isoformat(),
        },
    }


def service(event: CloudEvent) -> str:
    """The function that handles events of this type.

    Raises:
        InputError: none does.
    """
    if event["type"] not in _SERVICES:
        raise InputError(f"No function handles events of the type {event['type']}; name one with --to.")
    return _SERVICES[event["type"]]


def send(target: Target, event: CloudEvent, service: str, timeout: float) -> tuple[int, str]:
    """Send an event in the structured form; returns the status and the text of the answer.

    Raises:
        TargetError: the pipeline is not a local stack, or has no such service.
        UnreachableError: the service does not answer.
    """
    if target.is_cloud:
        raise TargetError("Events are sent again only to a local stack; Eventarc sends those of a cloud.")
    if service not in target.services:
        names = ", ".join(target.services) or "none"
        raise TargetError(f"The local stack has no service {service}. There are: {names}.")
    headers = {"Content-Type": "application/cloudevents+json"}
    answer = authorized(target, service, "POST", "/", data=json.dumps(event), headers=headers, timeout=timeout)
    return answer.status_code, answer.text
