"""What the API changes of a job, and its last attempt, in SQLite."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emulator.googleapi.database import Database

_SCHEMA_VERSION = 1
_SCHEMA = "CREATE TABLE jobs (name TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;"


@dataclass(frozen=True)
class History:
    """The state of one job.

    `paused` is None until the API pauses or resumes the job; `attempted` is in nanoseconds since 1970; `status` is
    the error of the last attempt as a google.rpc.Status.
    """

    paused: bool | None = None
    attempted: int | None = None
    status: dict[str, Any] | None = None


class Store(Database):
    """The histories by the jobs' full names."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "scheduler.sqlite", _SCHEMA, _SCHEMA_VERSION)

    def history(self, name: str) -> History:
        row = self._row("SELECT data FROM jobs WHERE name = ?", name)
        return History(**json.loads(row[0])) if row else History()

    def write(self, name: str, history: History) -> None:
        with self.transaction():
            self._database.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?)", (name, json.dumps(asdict(history))))
