"""Topics, subscriptions and undelivered messages in SQLite, written before a publish request is answered.

A row of `deliveries` is a message that one subscription has not acknowledged. `due` is the time from which it may be
handed out; while it is leased, the end of the lease.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from emulator.googleapi.database import Database

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS subscriptions (name TEXT PRIMARY KEY, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS policies (resource TEXT PRIMARY KEY, policy BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, published REAL NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
    subscription TEXT NOT NULL, message INTEGER NOT NULL, key TEXT NOT NULL, due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, leased INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, message)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (subscription, due);
CREATE INDEX IF NOT EXISTS deliveries_message ON deliveries (message);
CREATE INDEX IF NOT EXISTS deliveries_key ON deliveries (subscription, key, message) WHERE key != '';
"""

_DELIVERY = "SELECT d.message, d.key, d.due, d.attempts, d.leased, m.topic, m.published, m.body"
_FROM = "FROM deliveries d JOIN messages m ON m.id = d.message WHERE d.subscription = ?"


@dataclass(frozen=True)
class Delivery:
    """A message in a subscription's backlog; `attempts` counts the times it was handed out."""

    message: int
    key: str
    due: float
    attempts: int
    leased: bool
    topic: str
    published: float
    body: bytes


class Store(Database):
    """The state of Pub/Sub.

    Args:
        folder: where `pubsub.sqlite` lies, or None to keep everything in memory.
        now: seconds since the epoch; message ids of a new database count up from it, so that none repeats.
    """

    def __init__(self, folder: Path | None, now: float) -> None:
        super().__init__(folder, "pubsub.sqlite", _SCHEMA, _SCHEMA_VERSION)
        if not self._row("SELECT 1 FROM sqlite_sequence WHERE name = 'messages'"):
            self._database.execute("INSERT INTO sqlite_sequence VALUES ('messages', ?)", (int(now * 1_000_000),))

    def topics(self) -> dict[str, bytes]:
        return dict(self._database.execute("SELECT name, config FROM topics ORDER BY name"))

    def subscriptions(self) -> dict[str, bytes]:
        return dict(self._database.execute("SELECT name, config FROM subscriptions ORDER BY name"))

    def put_topic(self, name: str, config: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO topics VALUES (?, ?)", (name, config))

    def put_subscription(self, name: str, config: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO subscriptions VALUES (?, ?)", (name, config))

    def delete_topic(self, name: str) -> None:
        self._database.execute("DELETE FROM topics WHERE name = ?", (name,))
        self._database.execute("DELETE FROM policies WHERE resource = ?", (name,))

    def delete_subscription(self, name: str) -> None:
        self._database.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
        self._database.execute("DELETE FROM deliveries WHERE subscription = ?", (name,))
        self._database.execute("DELETE FROM policies WHERE resource = ?", (name,))
        self._delete_orphans()

    def policy(self, resource: str) -> bytes | None:
        row = self._row("SELECT policy FROM policies WHERE resource = ?", resource)
        return row[0] if row else None

    def put_policy(self, resource: str, policy: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO policies VALUES (?, ?)", (resource, policy))

    def add(self, topic: str, published: float) -> int:
        """Reserve the next message id; `deliver` adds the body and the receivers."""
        row = self._database.execute(
            "INSERT INTO messages (topic, published, body) VALUES (?, ?, '')", (topic, published)
        )
        return int(row.lastrowid or 0)

    def deliver(self, message: int, body: bytes, due: float, keys: Mapping[str, str]) -> None:
        """Put a message into backlogs, by ordering key ("" for none) per subscription; delete it if there are none."""
        if not keys:
            self._database.execute("DELETE FROM messages WHERE id = ?", (message,))
            return
        self._database.execute("UPDATE messages SET body = ? WHERE id = ?", (body, message))
        rows = [(name, message, key, due) for name, key in keys.items()]
        self._database.executemany("INSERT INTO deliveries (subscription, message, key, due) VALUES (?, ?, ?, ?)", rows)

    def due(self, subscription: str, now: float, limit: int) -> list[Delivery]:
        """The messages that may be handed out, oldest first, and only the first of each ordering key."""
        heads = (
            " AND (d.key = '' OR NOT EXISTS (SELECT 1 FROM deliveries e"
            " WHERE e.subscription = d.subscription AND e.key = d.key AND e.key != '' AND e.message < d.message))"
        )
        rows = self._database.execute(
            f"{_DELIVERY} {_FROM} AND d.due <= ? {heads} ORDER BY d.message LIMIT ?", (subscription, now, limit)
        )
        return [_delivery(row) for row in rows]

    def successors(self, subscription: str, first: Delivery, now: float, limit: int) -> list[Delivery]:
        """The messages after `first` under its ordering key, up to one that may not be handed out yet."""
        rows = self._database.execute(
            f"{_DELIVERY} {_FROM} AND d.key = ? AND d.key != '' AND d.message > ? ORDER BY d.message LIMIT ?",
            (subscription, first.key, first.message, limit),
        )
        return list(takewhile(lambda delivery: delivery.due <= now, map(_delivery, rows)))

    def next_due(self, subscription: str, now: float) -> float | None:
        """When the next message becomes due, of those that are not."""
        row = self._row("SELECT min(due) FROM deliveries WHERE subscription = ? AND due > ?", subscription, now)
        return row[0] if row else None

    def find(self, subscription: str, message: int) -> Delivery | None:
        row = self._row(f"{_DELIVERY} {_FROM} AND d.message = ?", subscription, message)
        return _delivery(row) if row else None

    def lease(self, subscription: str, messages: Iterable[int], until: float) -> None:
        self._database.executemany(
            "UPDATE deliveries SET due = ?, leased = 1, attempts = attempts + 1 WHERE subscription = ? AND message = ?",
            [(until, subscription, message) for message in messages],
        )

    def extend(self, subscription: str, message: int, until: float) -> None:
        """Move the end of a lease."""
        self._database.execute(
            "UPDATE deliveries SET due = ? WHERE subscription = ? AND message = ? AND leased = 1",
            (until, subscription, message),
        )

    def release(self, subscription: str, message: int, due: float) -> None:
        """Return a message to the backlog, with those handed out after it under the same ordering key."""
        self._database.execute(
            "UPDATE deliveries SET due = ?, leased = 0 WHERE subscription = ? AND message = ?",
            (due, subscription, message),
        )
        self._database.execute(
            "UPDATE deliveries SET due = ?, leased = 0 WHERE subscription = ? AND leased = 1 AND key != ''"
            " AND (key, message) IN (SELECT e.key, e.message FROM deliveries e JOIN deliveries f"
            " ON f.subscription = e.subscription AND f.key = e.key AND f.message = ? AND e.message > f.message"
            " WHERE e.subscription = ?)",
            (due, subscription, message, subscription),
        )

    def restore(self, subscription: str) -> None:
        """Undo every lease, without counting the attempt: no receiver is at work any more."""
        self._database.execute(
            "UPDATE deliveries SET due = 0, leased = 0, attempts = attempts - 1 WHERE subscription = ? AND leased = 1",
            (subscription,),
        )

    def remove(self, subscription: str, message: int) -> None:
        """Take a message out of a backlog."""
        parameters = (subscription, message)
        self._database.execute("DELETE FROM deliveries WHERE subscription = ? AND message = ?", parameters)
        self._database.execute(
            "DELETE FROM messages WHERE id = ? AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = ?)",
            (message, message),
        )

    def expire(self, subscription: str, published_before: float) -> None:
        """Delete the messages that a subscription has kept for too long."""
        deleted = self._database.execute(
            "DELETE FROM deliveries WHERE subscription = ?"
            " AND message IN (SELECT id FROM messages WHERE published < ?)",
            (subscription, published_before),
        )
        if deleted.rowcount:
            self._delete_orphans()

    def backlog(self, subscription: str) -> int:
        """The number of unacknowledged messages."""
        row = self._row("SELECT count(*) FROM deliveries WHERE subscription = ?", subscription)
        return int(row[0]) if row else 0

    def waiting(self, subscription: str, limit: int) -> list[Delivery]:
        """The oldest unacknowledged messages, leased or not."""
        rows = self._database.execute(f"{_DELIVERY} {_FROM} ORDER BY d.message LIMIT ?", (subscription, limit))
        return [_delivery(row) for row in rows]

    def _delete_orphans(self) -> None:
        self._database.execute("DELETE FROM messages WHERE id NOT IN (SELECT message FROM deliveries)")


def _delivery(row: tuple[Any, ...]) -> Delivery:
    message, key, due, attempts, leased, topic, published, body = row
    return Delivery(message, key, due, attempts, bool(leased), topic, published, body)
