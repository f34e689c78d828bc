"""Changes of objects, written with the change itself and kept until their delivery is acknowledged."""

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
        id: Grows with each change; what `Store.acknowledge` takes.
        type: What happened.
        resource: The object resource just after the change (for a deletion: just before it).
        attributes: `overwroteGeneration` or `overwrittenByGeneration` where they apply.
        notifications: The bucket's notification configurations that ask for this change, as they were then.
        time: When it happened, RFC 3339.
    """

    id: int
    type: ChangeType
    resource: Fields
    attributes: Mapping[str, str]
    notifications: list[Fields]
    time: str

    def message_attributes(self, notification: Fields) -> dict[str, str]:
        """The attributes of the Pub/Sub message that `notification` asks for; its data is `resource` as JSON."""
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
    """Adds a change to the transaction that makes it."""
    rows = transaction.execute("SELECT fields FROM notifications WHERE bucket = ? ORDER BY id", stored.bucket)
    wanted = [fields for row in rows if _asks(fields := json.loads(row["fields"]), change, stored.name)]
    cursor = transaction.execute(
        "INSERT INTO outbox (type, time, object, attributes, notifications) VALUES (?, ?, ?, ?, ?)",
        change,
        timestamp(now),
        json.dumps(asdict(stored)),
        json.dumps(attributes),
        json.dumps(wanted),
    )
    transaction.changes.append(int(cursor.lastrowid or 0))


def _asks(notification: Fields, change: ChangeType, name: str) -> bool:
    types: list[Any] = notification.get("event_types") or list(EVENT_TYPES.values())
    return EVENT_TYPES[change] in types and name.startswith(notification.get("object_name_prefix", ""))


def change_of(row: sqlite3.Row, base_url: str) -> Change:
    """The entry in one row of the outbox, its links leading to `base_url`."""
    return Change(
        row["id"],
        row["type"],
        StoredObject(**json.loads(row["object"])).resource(base_url),
        json.loads(row["attributes"]),
        json.loads(row["notifications"]),
        row["time"],
    )
