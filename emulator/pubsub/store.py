"""Topics, subscriptions and undelivered messages in SQLite: written before a publish is answered.

One row of `deliveries` is one message that one subscription has not acknowledged. `due` is when it may be
handed out; while it is leased, when the lease ends.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    """A message in a subscription's backlog; `attempts` counts how often it was handed out."""

    message: int
    key: str
    due: float
    attempts: int
    leased: bool
    topic: str
    published: float
    body: bytes


class Store:
    """The state of Pub/Sub; not for use by several threads.

    Args:
        folder: where `pubsub.sqlite` lies, or None to keep everything in memory.
        now: seconds since the epoch; message ids of a fresh store count up from it, so that they don't repeat.
    """

    def __init__(self, folder: Path | None, now: float) -> None:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        file = folder / "pubsub.sqlite" if folder else ":memory:"
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        if not self._db.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'messages'").fetchone():
            self._db.execute("INSERT INTO sqlite_sequence VALUES ('messages', ?)", (int(now * 1_000_000),))

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in the block is kept, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def topics(self) -> dict[str, bytes]:
        return dict(self._db.execute("SELECT name, config FROM topics ORDER BY name"))

    def subscriptions(self) -> dict[str, bytes]:
        return dict(self._db.execute("SELECT name, config FROM subscriptions ORDER BY name"))

    def put_topic(self, name: str, config: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO topics VALUES (?, ?)", (name, config))

    def put_subscription(self, name: str, config: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO subscriptions VALUES (?, ?)", (name, config))

    def delete_topic(self, name: str) -> None:
        self._db.execute("DELETE FROM topics WHERE name = ?", (name,))
        self._db.execute("DELETE FROM policies WHERE resource = ?", (name,))

    def delete_subscription(self, name: str) -> None:
        self._db.execute("DELETE FROM subscriptions WHERE name = ?", (name,))
        self._db.execute("DELETE FROM deliveries WHERE subscription = ?", (name,))
        self._db.execute("DELETE FROM policies WHERE resource = ?", (name,))
        self._forget_orphans()

    def policy(self, resource: str) -> bytes | None:
        row = self._db.execute("SELECT policy FROM policies WHERE resource = ?", (resource,)).fetchone()
        return row[0] if row else None

    def put_policy(self, resource: str, policy: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO policies VALUES (?, ?)", (resource, policy))

    def add(self, topic: str, published: float) -> int:
        """Take the next message id; `deliver` gives it its body and its receivers."""
        row = self._db.execute("INSERT INTO messages (topic, published, body) VALUES (?, ?, '')", (topic, published))
        return int(row.lastrowid or 0)

    def deliver(self, message: int, body: bytes, due: float, keys: Mapping[str, str]) -> None:
        """Put a message into backlogs (subscription → ordering key, "" for none); without any it is forgotten."""
        if not keys:
            self._db.execute("DELETE FROM messages WHERE id = ?", (message,))
            return
        self._db.execute("UPDATE messages SET body = ? WHERE id = ?", (body, message))
        rows = [(name, message, key, due) for name, key in keys.items()]
        self._db.executemany("INSERT INTO deliveries (subscription, message, key, due) VALUES (?, ?, ?, ?)", rows)

    def due(self, subscription: str, now: float, limit: int) -> list[Delivery]:
        """What may be handed out, oldest first; of messages with one ordering key only the first."""
        heads = (
            " AND (d.key = '' OR NOT EXISTS (SELECT 1 FROM deliveries e"
            " WHERE e.subscription = d.subscription AND e.key = d.key AND e.key != '' AND e.message < d.message))"
        )
        rows = self._db.execute(
            f"{_DELIVERY} {_FROM} AND d.due <= ? {heads} ORDER BY d.message LIMIT ?", (subscription, now, limit)
        )
        return [_delivery(row) for row in rows]

    def successors(self, subscription: str, first: Delivery, now: float, limit: int) -> list[Delivery]:
        """What follows `first` under its ordering key, up to one that can't be handed out yet."""
        rows = self._db.execute(
            f"{_DELIVERY} {_FROM} AND d.key = ? AND d.key != '' AND d.message > ? ORDER BY d.message LIMIT ?",
            (subscription, first.key, first.message, limit),
        )
        found = []
        for row in rows:
            delivery = _delivery(row)
            if delivery.due > now:
                break
            found.append(delivery)
        return found

    def next_due(self, subscription: str, now: float) -> float | None:
        """When something not yet due will be."""
        query = "SELECT min(due) FROM deliveries WHERE subscription = ? AND due > ?"
        due: float | None = self._db.execute(query, (subscription, now)).fetchone()[0]
        return due

    def find(self, subscription: str, message: int) -> Delivery | None:
        row = self._db.execute(f"{_DELIVERY} {_FROM} AND d.message = ?", (subscription, message)).fetchone()
        return _delivery(row) if row else None

    def lease(self, subscription: str, messages: Iterable[int], until: float) -> None:
        self._db.executemany(
            "UPDATE deliveries SET due = ?, leased = 1, attempts = attempts + 1 WHERE subscription = ? AND message = ?",
            [(until, subscription, message) for message in messages],
        )

    def extend(self, subscription: str, message: int, until: float) -> None:
        """Move the end of a lease."""
        self._db.execute(
            "UPDATE deliveries SET due = ? WHERE subscription = ? AND message = ? AND leased = 1",
            (until, subscription, message),
        )

    def release(self, subscription: str, message: int, due: float) -> None:
        """Give a message back to the backlog, and what was handed out after it under the same ordering key."""
        self._db.execute(
            "UPDATE deliveries SET due = ?, leased = 0 WHERE subscription = ? AND message = ?",
            (due, subscription, message),
        )
        self._db.execute(
            "UPDATE deliveries SET due = ?, leased = 0 WHERE subscription = ? AND leased = 1 AND key != ''"
            " AND (key, message) IN (SELECT e.key, e.message FROM deliveries e JOIN deliveries f"
            " ON f.subscription = e.subscription AND f.key = e.key AND f.message = ? AND e.message > f.message"
            " WHERE e.subscription = ?)",
            (due, subscription, message, subscription),
        )

    def restore(self, subscription: str) -> None:
        """Undo every lease: nobody is at work on them any more, and the attempt doesn't count."""
        self._db.execute(
            "UPDATE deliveries SET due = 0, leased = 0, attempts = attempts - 1 WHERE subscription = ? AND leased = 1",
            (subscription,),
        )

    def remove(self, subscription: str, message: int) -> bool:
        """Acknowledge; False when it was no longer there."""
        parameters = (subscription, message)
        found = self._db.execute("DELETE FROM deliveries WHERE subscription = ? AND message = ?", parameters).rowcount
        self._db.execute(
            "DELETE FROM messages WHERE id = ? AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = ?)",
            (message, message),
        )
        return bool(found)

    def expire(self, subscription: str, published_before: float) -> int:
        """Drop what the subscription has kept for too long; how many that were."""
        count = self._db.execute(
            "DELETE FROM deliveries WHERE subscription = ?"
            " AND message IN (SELECT id FROM messages WHERE published < ?)",
            (subscription, published_before),
        ).rowcount
        if count:
            self._forget_orphans()
        return count

    def backlog(self, subscription: str) -> int:
        """How many messages wait for an acknowledgement."""
        query = "SELECT count(*) FROM deliveries WHERE subscription = ?"
        return int(self._db.execute(query, (subscription,)).fetchone()[0])

    def _forget_orphans(self) -> None:
        self._db.execute("DELETE FROM messages WHERE id NOT IN (SELECT message FROM deliveries)")


def _delivery(row: tuple[int, str, float, int, int, str, float, bytes]) -> Delivery:
    message, key, due, attempts, leased, topic, published, body = row
    return Delivery(message, key, due, attempts, bool(leased), topic, published, body)
