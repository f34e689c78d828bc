"""Notification configurations, which publish changes of a bucket to a Pub/Sub topic."""

import json
import re

from emulator.storage.buckets import require_bucket
from emulator.storage.database import Database
from emulator.storage.errors import InvalidError, NotFoundError
from emulator.storage.outbox import EVENT_TYPES
from emulator.storage.permissions import require
from emulator.storage.resources import Fields

_MAX_PER_BUCKET = 100
_TOPIC = re.compile(r"(?://pubsub\.googleapis\.com/)?projects/[^/]+/topics/[^/]+")


class Notifications:
    """The notification configurations of one store's buckets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, bucket: str, config: Fields) -> Fields:
        """Add a configuration; `config` has the JSON API's fields `topic`, `payload_format` and so on."""
        fields = _checked(config)
        with self._database.transaction() as transaction:
            require(transaction, "storage.buckets.update", bucket)
            require_bucket(transaction, bucket)
            count = transaction.row("SELECT count(*) AS number FROM notifications WHERE bucket = ?", bucket)
            if count and count["number"] >= _MAX_PER_BUCKET:
                raise InvalidError("Maximum number of notification configurations for this bucket reached.")
            number = transaction.next_count("notification")
            fields = {"kind": "storage#notification", "id": str(number), "etag": str(number), **fields}
            transaction.execute(
                "INSERT INTO notifications (bucket, id, fields) VALUES (?, ?, ?)", bucket, number, json.dumps(fields)
            )
        return fields

    def listing(self, bucket: str) -> list[Fields]:
        with self._database.reading() as view:
            require(view, "storage.buckets.get", bucket)
            require_bucket(view, bucket)
            rows = view.execute("SELECT fields FROM notifications WHERE bucket = ? ORDER BY id", bucket)
            return [json.loads(row["fields"]) for row in rows]

    def get(self, bucket: str, id: str) -> Fields:
        for config in self.listing(bucket):
            if config["id"] == id:
                return config
        raise _missing(bucket, id)

    def delete(self, bucket: str, id: str) -> None:
        with self._database.transaction() as transaction:
            require(transaction, "storage.buckets.update", bucket)
            require_bucket(transaction, bucket)
            deleted = transaction.execute(
                "DELETE FROM notifications WHERE bucket = ? AND CAST(id AS TEXT) = ?", bucket, id
            )
            if not deleted.rowcount:
                raise _missing(bucket, id)


def _missing(bucket: str, id: str) -> NotFoundError:
    return NotFoundError(f"The specified notification configuration does not exist: {bucket}/{id}")


def _checked(config: Fields) -> Fields:
    topic = config.get("topic")
    if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
        raise InvalidError(f"Invalid Google Cloud Pub/Sub topic: {topic!r}")
    payload_format = config.get("payload_format", "JSON_API_V1")
    if payload_format not in {"JSON_API_V1", "NONE"}:
        raise InvalidError(f"Invalid payload format: {payload_format!r}")
    fields: Fields = {
        "topic": topic if topic.startswith("//") else f"//pubsub.googleapis.com/{topic}",
        "payload_format": payload_format,
    }
    types = config.get("event_types") or []
    if not isinstance(types, list) or any(each not in EVENT_TYPES.values() for each in types):
        raise InvalidError(f"Invalid event types: {types!r}")
    attributes = config.get("custom_attributes") or {}
    if not isinstance(attributes, dict) or any(not isinstance(value, str) for value in attributes.values()):
        raise InvalidError("Invalid custom attributes: expected strings.")
    prefix = config.get("object_name_prefix") or ""
    if not isinstance(prefix, str):
        raise InvalidError("Invalid object name prefix: expected a string.")
    optional = {"event_types": types, "custom_attributes": attributes, "object_name_prefix": prefix}
    return {**fields, **{key: value for key, value in optional.items() if value}}
