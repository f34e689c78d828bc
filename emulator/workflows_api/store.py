"""Workflows, revisions, executions, histories and operations in one SQLite file (or in memory).

Every method is one short transaction on the event loop's thread: with a write-ahead log a commit costs tens of
microseconds and outlives the process. Step entries are written once, when an execution ends.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emulator.googleapi.database import Database
from emulator.workflows_api.resources import UNFINISHED, Execution, Json, Revision, Workflow

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE workflows (name TEXT PRIMARY KEY, location TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE revisions (
    workflow TEXT NOT NULL, revision_id TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (workflow, revision_id));
CREATE TABLE executions (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, workflow TEXT NOT NULL, revision_id TEXT NOT NULL,
    state TEXT NOT NULL, create_time INTEGER NOT NULL, start_time INTEGER, end_time INTEGER, duration INTEGER,
    argument TEXT NOT NULL, result TEXT, extra TEXT NOT NULL);
CREATE INDEX executions_newest ON executions (workflow, create_time DESC, seq DESC);
CREATE INDEX executions_unfinished ON executions (seq) WHERE state IN ('ACTIVE', 'QUEUED');
CREATE TABLE histories (execution TEXT PRIMARY KEY, entries TEXT NOT NULL);
CREATE TABLE operations (
    seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, location TEXT NOT NULL, data TEXT NOT NULL);
"""
_PLAIN = ("name", "workflow", "revision_id", "state", "create_time", "start_time", "end_time")
_EXTRA = ("error", "labels", "call_log_level", "history_level", "no_buffering", "current_steps", "attempt")
ORDER_COLUMNS = {
    "executionId": "name",
    "state": "state",
    "createTime": "create_time",
    "startTime": "start_time",
    "endTime": "end_time",
    "duration": "duration",
    "workflowRevisionId": "revision_id",
}


class Store(Database):
    """The tables behind both APIs; names are full resource names throughout."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "workflows.sqlite", _SCHEMA, _SCHEMA_VERSION)

    # Workflows and revisions

    def put_workflow(self, workflow: Workflow, revision: Revision | None = None) -> None:
        """Write a workflow, and the revision that came with the change."""
        with self._transaction():
            location = workflow.name.rsplit("/", 2)[0]
            self._database.execute(
                "INSERT OR REPLACE INTO workflows VALUES (?, ?, ?)",
                (workflow.name, location, json.dumps(asdict(workflow))),
            )
            if revision is not None:
                self._database.execute(
                    "INSERT INTO revisions VALUES (?, ?, ?)",
                    (revision.workflow, revision.revision_id, json.dumps(asdict(revision))),
                )

    def workflow(self, name: str) -> Workflow | None:
        """The workflow of that name."""
        row = self._one("SELECT data FROM workflows WHERE name = ?", name)
        return Workflow(**json.loads(row[0])) if row else None

    def workflows(self, location: str) -> list[Workflow]:
        """Every workflow of a location, by name."""
        rows = self._database.execute("SELECT data FROM workflows WHERE location = ? ORDER BY name", (location,))
        return [Workflow(**json.loads(data)) for (data,) in rows]

    def revision(self, workflow: str, revision_id: str) -> Revision | None:
        """One revision of a workflow."""
        row = self._one("SELECT data FROM revisions WHERE workflow = ? AND revision_id = ?", workflow, revision_id)
        return Revision(**json.loads(row[0])) if row else None

    def revisions(self, workflow: str) -> list[Revision]:
        """Every revision of a workflow, newest first."""
        rows = self._database.execute(
            "SELECT data FROM revisions WHERE workflow = ? ORDER BY revision_id DESC", (workflow,)
        )
        return [Revision(**json.loads(data)) for (data,) in rows]

    def delete_workflow(self, name: str) -> None:
        """Forget a workflow with its revisions, executions and histories."""
        with self._transaction():
            self._database.execute(
                "DELETE FROM histories WHERE execution IN (SELECT name FROM executions WHERE workflow = ?)",
                (name,),
            )
            for statement in (
                "DELETE FROM executions WHERE workflow = ?",
                "DELETE FROM revisions WHERE workflow = ?",
                "DELETE FROM workflows WHERE name = ?",
            ):
                self._database.execute(statement, (name,))

    # Executions

    def add_execution(self, execution: Execution) -> None:
        """Write a new execution."""
        columns = (*_PLAIN, "argument", "extra")
        values = [getattr(execution, name) for name in _PLAIN] + [execution.argument, _extra(execution)]
        marks = ", ".join("?" * len(columns))
        self._database.execute(f"INSERT INTO executions ({', '.join(columns)}) VALUES ({marks})", values)  # noqa: S608 (constant columns)

    def update_execution(self, execution: Execution, history: Sequence[Json] | None = None) -> None:
        """Write what has changed, and with the end of an execution its step entries."""
        with self._transaction():
            self._database.execute(
                "UPDATE executions SET state = ?, start_time = ?, end_time = ?, duration = ?, result = ?, extra = ?"
                " WHERE name = ?",
                (
                    execution.state,
                    execution.start_time,
                    execution.end_time,
                    execution.duration,
                    execution.result,
                    _extra(execution),
                    execution.name,
                ),
            )
            if history is not None:
                self._database.execute(
                    "INSERT OR REPLACE INTO histories VALUES (?, ?)", (execution.name, json.dumps(history))
                )

    def execution(self, name: str) -> Execution | None:
        """One execution."""
        row = self._one(f"SELECT {', '.join(_PLAIN)}, argument, result, extra FROM executions WHERE name = ?", name)  # noqa: S608 (constant columns)
        return _execution(row) if row else None

    def executions(
        self, workflow: str, order: Sequence[tuple[str, bool]], *, ceiling: int | None, skip: int, full: bool
    ) -> Iterator[Execution]:
        """The executions of a workflow in an order of API field names, newest first by default.

        ``ceiling`` leaves out what was created after it was taken; ``full`` reads argument and result too.
        """
        keys = [f"{ORDER_COLUMNS[name]} {'DESC' if down else 'ASC'}" for name, down in order]
        keys += ["seq DESC"] if keys else ["create_time DESC", "seq DESC"]
        texts = "argument, result" if full else "'null', NULL"
        rows = self._database.execute(
            f"SELECT {', '.join(_PLAIN)}, {texts}, extra FROM executions"  # noqa: S608 (constant columns)
            f" WHERE workflow = ? AND seq <= ? ORDER BY {', '.join(keys)} LIMIT -1 OFFSET ?",
            (workflow, self.ceiling() if ceiling is None else ceiling, skip),
        )
        return map(_execution, rows)

    def ceiling(self) -> int:
        """A mark below which every execution stored so far lies."""
        (seq,) = self._database.execute("SELECT coalesce(max(seq), 0) FROM executions").fetchone()
        return int(seq)

    def unfinished(self) -> list[Execution]:
        """What was ACTIVE or QUEUED when the store was last written, oldest first."""
        marks = ", ".join(repr(state) for state in sorted(UNFINISHED))
        rows = self._database.execute(
            f"SELECT {', '.join(_PLAIN)}, argument, result, extra FROM executions"  # noqa: S608 (constant columns)
            f" WHERE state IN ({marks}) ORDER BY seq"
        )
        return [_execution(row) for row in rows]

    def history(self, execution: str) -> list[Json]:
        """The step entries of a finished execution."""
        row = self._one("SELECT entries FROM histories WHERE execution = ?", execution)
        return list(json.loads(row[0])) if row else []

    def delete_history(self, execution: str) -> None:
        """Forget the step entries of an execution."""
        self._database.execute("DELETE FROM histories WHERE execution = ?", (execution,))

    # Long-running operations

    def add_operation(self, location: str, operation: Json) -> None:
        """Write an operation."""
        self._database.execute(
            "INSERT INTO operations (name, location, data) VALUES (?, ?, ?)",
            (operation["name"], location, json.dumps(operation)),
        )

    def operation(self, name: str) -> Json | None:
        """One operation as JSON."""
        row = self._one("SELECT data FROM operations WHERE name = ?", name)
        return dict(json.loads(row[0])) if row else None

    def operations(self, location: str) -> list[Json]:
        """The operations of a location, newest first."""
        rows = self._database.execute("SELECT data FROM operations WHERE location = ? ORDER BY seq DESC", (location,))
        return [json.loads(data) for (data,) in rows]

    def delete_operation(self, name: str) -> None:
        """Forget an operation."""
        self._database.execute("DELETE FROM operations WHERE name = ?", (name,))

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
        return row

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._database)


class _Transaction:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _extra(execution: Execution) -> str:
    return json.dumps({name: getattr(execution, name) for name in _EXTRA})


def _execution(row: tuple[Any, ...]) -> Execution:
    *plain, argument, result, extra = row
    fields = dict(zip(_PLAIN, plain, strict=True))
    return Execution(**fields, argument=argument, result=result, **json.loads(extra))
