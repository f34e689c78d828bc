"""Executions, their tasks and operations in SQLite.

Each method is one short transaction on the event loop's thread. A task gets its row when it starts: a task without
a row is pending, or was cancelled with its execution.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from emulator.cloud_run_jobs.resources import ENDED, Execution, Operation, Task
from emulator.googleapi.database import Database

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE executions (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, job TEXT NOT NULL, ended INTEGER NOT NULL, data TEXT NOT NULL);
CREATE INDEX executions_unfinished ON executions (seq) WHERE NOT ended;
CREATE TABLE tasks (
    execution TEXT NOT NULL, number INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (execution, number));
CREATE TABLE operations (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, verb TEXT NOT NULL, execution TEXT NOT NULL);
"""
_INDEX = "CREATE INDEX IF NOT EXISTS operations_execution ON operations (execution)"


class Store(Database):
    """The state of the API; names are full resource names."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "jobs.sqlite", _SCHEMA, _SCHEMA_VERSION)
        self._database.execute(_INDEX)

    def add(self, execution: Execution, operation: Operation) -> None:
        """Write a new execution and its operation."""
        with self.transaction():
            self._database.execute(
                "INSERT INTO executions (name, job, ended, data) VALUES (?, ?, 0, ?)",
                (execution.name, execution.job, json.dumps(asdict(execution))),
            )
            self.add_operation(operation)

    def update(self, execution: Execution, tasks: Iterable[Task] = ()) -> None:
        """Write an execution and those of its tasks that have changed."""
        with self.transaction():
            self._database.execute(
                "UPDATE executions SET ended = ?, data = ? WHERE name = ?",
                (execution.state in ENDED, json.dumps(asdict(execution)), execution.name),
            )
            self._database.executemany(
                "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?)",
                [(execution.name, task.index, json.dumps(asdict(task))) for task in tasks],
            )

    def execution(self, name: str) -> Execution | None:
        """An execution."""
        row = self._row("SELECT data FROM executions WHERE name = ?", name)
        return Execution(**json.loads(row[0])) if row else None

    def executions(self, job: str | None = None) -> list[Execution]:
        """The executions of a job, or of all, newest first."""
        rows = self._database.execute(
            "SELECT data FROM executions WHERE job = ? OR ? IS NULL ORDER BY seq DESC", (job, job)
        )
        return [Execution(**json.loads(data)) for (data,) in rows]

    def prune(self, *, keep: int, ended_before: int, limit: int) -> list[str]:
        """Delete up to `limit` executions that ended, oldest first, with their tasks and operations.

        Args:
            keep: how many executions are kept at most, besides unfinished ones.
            ended_before: nanoseconds since 1970; executions that ended earlier are deleted.

        Returns:
            The names of the deleted executions.
        """
        newest = self._row("SELECT seq FROM executions ORDER BY seq DESC LIMIT 1 OFFSET ?", keep)
        rows = self._database.execute(
            "SELECT name FROM (SELECT seq, name, data FROM executions WHERE ended ORDER BY seq LIMIT ?)"
            " WHERE seq <= ? OR json_extract(data, '$.completion_time') < ?",
            (limit, newest[0] if newest else 0, ended_before),
        ).fetchall()
        with self.transaction():
            self._database.executemany("DELETE FROM tasks WHERE execution = ?", rows)
            self._database.executemany("DELETE FROM operations WHERE execution = ?", rows)
            self._database.executemany("DELETE FROM executions WHERE name = ?", rows)
        self.shrink()
        return [name for (name,) in rows]

    def unfinished(self) -> list[Execution]:
        """The unfinished executions, oldest first."""
        rows = self._database.execute("SELECT data FROM executions WHERE NOT ended ORDER BY seq")
        return [Execution(**json.loads(data)) for (data,) in rows]

    def tasks(self, execution: str) -> dict[int, Task]:
        """The started tasks of an execution, by index."""
        rows = self._database.execute("SELECT data FROM tasks WHERE execution = ? ORDER BY number", (execution,))
        return {task.index: task for task in (Task(**json.loads(data)) for (data,) in rows)}

    def add_operation(self, operation: Operation) -> None:
        """Write a new operation."""
        self._database.execute(
            "INSERT INTO operations (name, verb, execution) VALUES (?, ?, ?)",
            (operation.name, operation.verb, operation.execution),
        )

    def operation(self, name: str) -> Operation | None:
        """An operation."""
        row = self._row("SELECT name, verb, execution FROM operations WHERE name = ?", name)
        return Operation(*row) if row else None

    def operations(self) -> list[Operation]:
        """The operations, newest first."""
        rows = self._database.execute("SELECT name, verb, execution FROM operations ORDER BY seq DESC")
        return [Operation(*row) for row in rows]
