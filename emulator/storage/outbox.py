"""Changes of objects, recorded in the same transaction and kept until their delivery is acknowledged."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from emulator.storage.database import Transaction
from emulator.storage.resources import Fields, StoredObject, timestamp

ChangeType = Literal["finalize", "delete", "archive", "metadataUpdate"]

EVENT_TYPES: Mapping[ChangeType, str] = {
    "finalize": "OBJECT_FINALIZE",
    "delete": "OBJECT_DELETE",
    "archive": "OBJECT_ARCHIVE",
    "metadataUpdate": "OBJECT_METADATA_UPDATE",
}


@dataclass(frozen=True)
class Change:
    """One change of one object.

    Attributes:
        id: increases with each change; the argument of `Store.acknowledge`.
        type: what happened.
        resource: the object resource after the change, or before a deletion.
        attributes: `overwroteGeneration` or `overwrittenByGeneration`, where they apply.
        notifications: the bucket's notification configurations that matched the change when it happened.
        time: when it happened, RFC 3339.
    """

    id: int
    type: ChangeType
    resource: Fields
    attributes: Mapping[str, str]
    notifications: list[Fields]
    time: str

    def message_attributes(self, notification: Fields) -> dict[str, str]:
        """The attributes of the Pub/Sub message for a notification configuration."""
        return {
            **notification.get("custom_attributes", {}),
            "notificationConfig": (
                f"projects/_/buckets/{self.resource['bucket']}/notificationConfigs/{notification['id']}"
            ),
            "eventType": EVENT_TYPES[self.type],
            "payloadFormat": notification["payload_format"],
            "bucketId": self.resource["bucket"],
            "objectId": self.resource["name"],
            "objectGeneration": self.resource["generation"],
            "eventTime": self.time,
            **self.attributes,
        }


def record(
    transaction: Transaction, change: ChangeType, stored: StoredObject, now: datetime, **attributes: str
) -> None:
    """Record a change in the transaction that makes it."""
    rows = transaction.execute("SELECT fields FROM notifications WHERE bucket = ? ORDER BY id", stored.bucket)
    notifications = [fields for row in rows if _matches(fields := json.loads(row["fields"]), change, stored.name)]
    cursor = transaction.execute(
        "INSERT INTO outbox (type, time, object, attributes, notifications) VALUES (?, ?, ?, ?, ?)",
        change,
        timestamp(now),
        json.dumps(asdict(stored)),
        json.dumps(attributes),
        json.dumps(notifications),
    )
    transaction.changes.append(int(cursor.lastrowid or 0))


def _matches(notification: Fields, change: ChangeType, name: str) -> bool:
    types: list[Any] = notification.get("event_types") or list(EVENT_TYPES.values())
    return EVENT_TYPES[change] in types and name.startswith(notification.get("object_name_prefix", ""))


def change_of(row: sqlite3.Row, base_url: str) -> Change:
    """The change in a row of the outbox; the links of its resource begin with `base_url`."""
    return Change(
        row["id"],
        row["type"],
        StoredObject(**json.loads(row["object"])).resource(base_url),
        json.loads(row["attributes"]),
        json.loads(row["notifications"]),
        row["time"],
    )
