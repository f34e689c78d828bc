"""Models, endpoints and operations in SQLite, each as the JSON of Google's API.

Methods use a single connection and must be called on the event loop's thread.
"""

import json
from pathlib import Path

from emulator.googleapi.database import Database
from emulator.googleapi.messages import Json

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE models (name TEXT PRIMARY KEY, newest INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE versions (
    seq INTEGER PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (model, version));
CREATE TABLE endpoints (seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, data TEXT NOT NULL);
CREATE TABLE operations (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, done INTEGER NOT NULL, data TEXT NOT NULL,
    request TEXT NOT NULL);
"""
_KEPT_OPERATIONS = 1000


class Store(Database):
    """The state of the API; names are full resource names."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "vertex.sqlite", _SCHEMA, _SCHEMA_VERSION)

    def next_version(self, model: str) -> str:
        """Count another version of a model, which is created with its first."""
        self._database.execute(
            "INSERT INTO models VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET newest = newest + 1", (model,)
        )
        row = self._row("SELECT newest FROM models WHERE name = ?", model)
        return str(row[0]) if row else "1"

    def versions(self, model: str) -> list[Json]:
        """The versions of a model, oldest first; none if it does not exist."""
        rows = self._database.execute("SELECT data FROM versions WHERE model = ? ORDER BY seq", (model,))
        return [json.loads(data) for (data,) in rows]

    def models(self, parent: str) -> list[str]:
        """The names of the models of a location, the latest first."""
        rows = self._database.execute(
            "SELECT model FROM versions WHERE substr(model, 1, length(?)) = ? GROUP BY model ORDER BY min(seq) DESC",
            (f"{parent}/models/",) * 2,
        )
        return [name for (name,) in rows]

    def write_version(self, version: Json) -> None:
        self._database.execute(
            "INSERT INTO versions (model, version, data) VALUES (?, ?, ?)"
            " ON CONFLICT (model, version) DO UPDATE SET data = excluded.data",
            (version["name"], version["versionId"], json.dumps(version)),
        )

    def delete_version(self, model: str, version: str) -> None:
        self._database.execute("DELETE FROM versions WHERE model = ? AND version = ?", (model, version))

    def delete_model(self, model: str) -> None:
        self._database.execute("DELETE FROM versions WHERE model = ?", (model,))
        self._database.execute("DELETE FROM models WHERE name = ?", (model,))

    def endpoint(self, name: str) -> Json | None:
        row = self._row("SELECT data FROM endpoints WHERE name = ?", name)
        return json.loads(row[0]) if row else None

    def endpoints(self, parent: str = "") -> list[Json]:
        """The endpoints of a location, or all, the latest first."""
        start = f"{parent}/endpoints/" if parent else ""
        rows = self._database.execute(
            "SELECT data FROM endpoints WHERE substr(name, 1, length(?)) = ? ORDER BY seq DESC", (start, start)
        )
        return [json.loads(data) for (data,) in rows]

    def write_endpoint(self, endpoint: Json) -> None:
        self._database.execute(
            "INSERT INTO endpoints (name, data) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data",
            (endpoint["name"], json.dumps(endpoint)),
        )

    def delete_endpoint(self, name: str) -> None:
        self._database.execute("DELETE FROM endpoints WHERE name = ?", (name,))

    def write_operation(self, operation: Json, request: Json | None = None) -> None:
        """Write an operation; `request` is what continues it after a restart. Old ones are forgotten."""
        self._database.execute(
            "INSERT INTO operations (name, done, data, request) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET done = excluded.done, data = excluded.data",
            (operation["name"], bool(operation.get("done")), json.dumps(operation), json.dumps(request or {})),
        )
        self._database.execute(
            "DELETE FROM operations WHERE done AND seq <= (SELECT max(seq) FROM operations) - ?", (_KEPT_OPERATIONS,)
        )

    def operation(self, name: str) -> Json | None:
        row = self._row("SELECT data FROM operations WHERE name = ?", name)
        return json.loads(row[0]) if row else None

    def operations(self, parent: str) -> list[Json]:
        """The operations of a model, an endpoint or a location, newest first."""
        rows = self._database.execute(
            "SELECT data FROM operations WHERE substr(name, 1, length(?)) = ? ORDER BY seq DESC", (f"{parent}/",) * 2
        )
        return [json.loads(data) for (data,) in rows]

    def unfinished(self) -> list[tuple[Json, Json]]:
        """The operations that are not done, with their requests, oldest first."""
        rows = self._database.execute("SELECT data, request FROM operations WHERE NOT done ORDER BY seq")
        return [(json.loads(data), json.loads(request)) for data, request in rows]
