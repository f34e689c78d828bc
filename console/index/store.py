"""One SQLite file with a row for each input generation that the buckets have, or had a document of."""

import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PENDING = ("waiting", "running")
STATES = (*PENDING, "succeeded", "partial", "unsuccessful", "rejected", "failed")

_VERSION = 2
_SCHEMA = """
CREATE TABLE inputs (
    document TEXT PRIMARY KEY, name TEXT NOT NULL, generation INTEGER NOT NULL DEFAULT 0, received REAL NOT NULL,
    job TEXT NOT NULL DEFAULT '', folder TEXT NOT NULL DEFAULT '',
    object_generation INTEGER NOT NULL DEFAULT 0, unread INTEGER NOT NULL DEFAULT 0, changed REAL NOT NULL,
    state TEXT NOT NULL, kind TEXT, label TEXT, answer TEXT, confidence REAL, review INTEGER NOT NULL DEFAULT 0,
    latency REAL, usd REAL, device_usd REAL, device_seconds REAL, code TEXT, message TEXT, step TEXT, execution TEXT,
    model TEXT, version TEXT, size INTEGER, records INTEGER, failed_records INTEGER
);
CREATE INDEX by_change ON inputs (changed, document);
CREATE INDEX by_arrival ON inputs (received, document);
CREATE INDEX by_state ON inputs (state, changed, document);
CREATE INDEX by_kind ON inputs (kind, changed);
CREATE INDEX by_model ON inputs (model);
CREATE INDEX by_name ON inputs (name, generation);
CREATE INDEX by_folder ON inputs (folder, document || '.json', object_generation);
CREATE INDEX by_confidence ON inputs (confidence, changed) WHERE confidence IS NOT NULL;
CREATE INDEX by_unread ON inputs (changed) WHERE unread;
CREATE INDEX by_job ON inputs (job);
CREATE TABLE labels (job TEXT PRIMARY KEY, object_generation INTEGER NOT NULL, label TEXT, source TEXT);
"""

Row = dict[str, Any]


class Index:
    """The index; safe to share between threads. Readers never wait for a writer.

    Args:
        file: None for a temporary file, which `close` removes.

    Attributes:
        version: counts changes, so that a reader sees at a glance whether there was one.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._folder = None if file else tempfile.TemporaryDirectory(prefix="einf-console-")
        self._file = file or Path(self._folder.name if self._folder else "") / "index.sqlite"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._writing = threading.Lock()
        self._writer = self._connect()
        self.version = 0
        (stored,) = self._writer.execute("PRAGMA user_version").fetchone()
        if stored != _VERSION:
            self._replace()

    def close(self) -> None:
        self._writer.close()
        if self._folder:
            self._folder.cleanup()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction, after which `version` is higher."""
        with self._writing:
            with self._writer:
                yield self._writer
            self.version += 1

    def announce(self) -> None:
        """Count a change that pages show and no row holds."""
        with self._writing:
            self.version += 1

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    def rows(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        with self.read() as connection:
            return [dict(row) for row in connection.execute(query, values)]

    def row(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Row | None:
        with self.read() as connection:
            found = connection.execute(query, values).fetchone()
        return None if found is None else dict(found)

    def input(self, document: str) -> Row | None:
        return self.row("SELECT * FROM inputs WHERE document = ?", (document,))

    def put(self, rows: Iterable[Row]) -> None:
        """Write rows; columns that a row does not name keep their values, or get their defaults."""
        with self.write() as connection:
            for row in rows:
                names = list(row)
                updates = ", ".join(f"{name} = excluded.{name}" for name in names if name != "document")
                connection.execute(
                    f"INSERT INTO inputs ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
                    f" ON CONFLICT (document) DO UPDATE SET {updates}",
                    list(row.values()),
                )

    def _connect(self) -> sqlite3.Connection:
        self._file.touch(mode=0o600)  # names and answers are their owner's
        connection = sqlite3.connect(self._file, check_same_thread=False, timeout=30)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # the buckets are the truth
        return connection

    def _replace(self) -> None:
        """Begin anew: the file is of another version of the console."""
        self._writer.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)
        self._writer = self._connect()
        self._writer.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
