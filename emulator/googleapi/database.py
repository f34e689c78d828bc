"""A SQLite database, in a file or in memory, that the stores of the APIs build on."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulator import disk
from emulator.googleapi.errors import UnavailableError
from emulator.state import StateError


class Database:
    """One connection, for use by a single thread; every use after `close` raises UnavailableError.

    Args:
        folder: where the file lies, or None to keep the database in memory.
        name: the file's name.
        schema: the statements that create the tables.
        version: the schema's version; a file of another version is refused.

    Raises:
        StateError: the file cannot be used. Later uses raise DiskError.
    """

    def __init__(self, folder: Path | None, name: str, schema: str, version: int) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        path = None if folder is None else folder / name
        self._connection: sqlite3.Connection | None = disk.connect(path, isolation_level=None)
        (stored,) = self._database.execute("PRAGMA user_version").fetchone()
        if stored == 0:
            self._database.executescript(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;")
        elif stored != version:
            raise StateError(
                f"{folder}/{name} has schema version {stored}, but this emulator reads version {version}: "
                "delete the file to start afresh"
            )

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that the block writes, or nothing if it raises."""
        self._database.execute("BEGIN")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # SQLite has rolled back by itself if the disk is full
                self._database.execute("ROLLBACK")
            raise

    def shrink(self) -> None:
        """Return the space of deleted rows to the disk."""
        self._database.executescript("PRAGMA incremental_vacuum")  # `execute` would free a single page

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise UnavailableError("the emulator is stopping")
        return self._connection

    def _row(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row of a query."""
        row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return row
