"""The SQLite database of the store: its tables, and transactions that run one at a time."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from emulator import disk

SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, project TEXT NOT NULL, metageneration INTEGER NOT NULL, fields TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, metageneration INTEGER NOT NULL,
    live INTEGER NOT NULL, content TEXT NOT NULL, fields TEXT NOT NULL,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS live_objects ON objects (bucket, name) WHERE live;
CREATE INDEX IF NOT EXISTS object_contents ON objects (content);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, bucket TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    content TEXT NOT NULL, created TEXT NOT NULL, request TEXT NOT NULL, generation INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, content TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS policies (
    resource TEXT PRIMARY KEY, version INTEGER NOT NULL, policy TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notifications (
    bucket TEXT NOT NULL, id INTEGER NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (bucket, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, time TEXT NOT NULL, object TEXT NOT NULL,
    attributes TEXT NOT NULL, notifications TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass
class Transaction:
    """One atomic change.

    After the commit, `changes` (ids in the outbox) are announced, and those contents in `garbage` (ids) are removed
    that no row refers to any more.
    """

    connection: sqlite3.Connection
    changes: list[int] = field(default_factory=list)
    garbage: list[str] = field(default_factory=list)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self.connection.execute(statement, values)

    def row(self, statement: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.connection.execute(statement, values).fetchone()
        return row

    def refers_to(self, content: str) -> bool:
        """Whether an object or an unfinished upload has this content."""
        tables = ("objects", "uploads", "parts")
        return any(self.row(f"SELECT 1 FROM {table} WHERE content = ?", content) for table in tables)  # noqa: S608

    def next_count(self, name: str, at_least: int = 1) -> int:
        """The counter's next value: greater than every earlier one, and at least `at_least`."""
        row = self.row("SELECT value FROM counters WHERE name = ?", name)
        value = max(at_least, row["value"] + 1) if row else at_least
        self.execute("INSERT OR REPLACE INTO counters (name, value) VALUES (?, ?)", name, value)
        return value

    def next_generation(self, now: datetime) -> int:
        """A generation: the time in microseconds, or the last generation plus one if the clock has not advanced."""
        return self.next_count("generation", int(now.timestamp() * 1_000_000))


class Database:
    """One connection, which threads use in turn, so that what a transaction reads is still true when it commits."""

    def __init__(self, file: Path | None, committed: Callable[[Transaction], None]) -> None:
        self._connection = disk.connect(file, check_same_thread=False, isolation_level=None, cached_statements=256)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(SCHEMA)
        self._committed = committed
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at the end of the block; roll back if it raises."""
        with self._lock:
            transaction = Transaction(self._connection)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield transaction
                transaction.garbage = [id for id in set(transaction.garbage) if id and not transaction.refers_to(id)]
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite has rolled back by itself if the disk is full
                    self._connection.execute("ROLLBACK")
                raise
        self._committed(transaction)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A consistent view, for reading only."""
        with self._lock:
            yield Transaction(self._connection)

    def shrink(self) -> None:
        """Return the space of deleted rows to the disk."""
        with self._lock:
            self._connection.executescript("PRAGMA incremental_vacuum")  # `execute` would free a single page

    def close(self) -> None:
        with self._lock:
            self._connection.close()
