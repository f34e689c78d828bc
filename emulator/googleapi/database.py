"""A SQLite file of one schema, or one in memory, that is refused to whoever asks after it was closed."""

import sqlite3
from pathlib import Path

from emulator.googleapi.errors import UnavailableError


class Database:
    """What the stores build on.

    Args:
        path: the folder, None for memory.
        name: the file's name in it.
        schema: statements that make the tables of a new file.
        version: of the schema; a file of another one is refused.
    """

    def __init__(self, path: Path | None, name: str, schema: str, version: int) -> None:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
        self._connection: sqlite3.Connection | None = sqlite3.connect(
            ":memory:" if path is None else path / name, isolation_level=None
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        (found,) = self._database.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._database.executescript(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;")
        elif found != version:
            raise RuntimeError(f"{path}/{name} has schema {found}, this emulator reads {version}")

    def close(self) -> None:
        """Close the file; whatever is asked afterwards is refused as unavailable."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise UnavailableError("the emulator is stopping")
        return self._connection
