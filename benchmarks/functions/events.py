"""A realistic first request for each function, which makes it use all its clients."""

import base64
import json
import uuid
from typing import Any

from google.cloud import storage

from benchmarks.functions.cloud import BUCKETS

Request = tuple[dict[str, str], dict[str, Any]]  # headers, body
TEXT = "The plot is thin, but the cast is charming and the music lovely; I left the cinema smiling."
SERIES = "date,visitors\n" + "".join(
    f"2025-{1 + day // 28:02}-{1 + day % 28:02},{100 + day % 7 * 9}\n" for day in range(112)
)
LINEAGE = {"execution": "e", "workflow_revision": "000001-abc", "started_at": "2026-01-01T00:00:00Z"}
ANSWER = {
    "predictions": [{"label": "POSITIVE", "score": 0.9, "scores": {"POSITIVE": 0.9, "NEGATIVE": 0.1}}],
    "model": {"name": "m", "version": "1", "task": "t", "source": "s", "revision": "r"},
    "device": "cpu",
    "timing": {"queue_ms": 1, "inference_ms": 1, "gpu_seconds": 0.001},
}


def of(function: str, client: storage.Client) -> Request:
    """A request for a new input, so that no earlier outcome answers it."""
    if function == "on_upload":
        return _cloud_event("google.cloud.storage.object.v1.finalized", _resource(_upload(client, TEXT, "text/plain")))
    if function == "on_message":
        return _message({"instances": [{"text": TEXT}]})
    if function == "on_dead_letter":
        return _message(_resource(_upload(client, TEXT, "text/plain")), CloudPubSubDeadLetterSourceSubscription="s")
    if function == "forecast":
        return {}, _argument(_upload(client, SERIES, "text/csv"), "timeseries")
    argument = _argument(_upload(client, TEXT, "text/plain"), "text")
    if function == "postprocess":
        return {}, {"argument": argument, "prediction": ANSWER, "lineage": LINEAGE}
    return {}, argument


def _upload(client: storage.Client, data: str, content_type: str) -> storage.Blob:
    blob: storage.Blob = client.bucket(BUCKETS["INPUT_BUCKET"]).blob(f"start/{uuid.uuid4().hex}")
    blob.upload_from_string(data, content_type)
    return blob


def _resource(blob: storage.Blob) -> dict[str, Any]:
    resource: dict[str, Any] = blob._properties  # the resource as the API returns it and an event holds it
    return resource


def _cloud_event(kind: str, data: dict[str, Any]) -> Request:
    return {"ce-id": uuid.uuid4().hex, "ce-source": "//bench", "ce-specversion": "1.0", "ce-type": kind}, data


def _message(body: dict[str, Any], **attributes: str) -> Request:
    data = base64.b64encode(json.dumps(body).encode()).decode()
    message = {"messageId": uuid.uuid4().hex, "data": data, "attributes": attributes}
    kind = "google.cloud.pubsub.topic.v1.messagePublished"
    return _cloud_event(kind, {"message": message, "subscription": "projects/local-project/subscriptions/s"})


def _argument(blob: storage.Blob, kind: str) -> dict[str, Any]:
    return {
        "job": uuid.uuid4().hex,
        "document": f"{blob.name}/{blob.generation}",
        "event_id": "1",
        "received_at": "2026-01-01T00:00:00Z",
        "input": {
            "bucket": blob.bucket.name,
            "name": blob.name,
            "generation": str(blob.generation),
            "size": blob.size,
            "content_type": blob.content_type,
        },
        "kind": kind,
        "model": None,
        "parameters": {},
        "trace": None,
    }
