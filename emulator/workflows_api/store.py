"""Workflows, revisions, executions, step entries and operations in SQLite.

Each method is one short transaction on the event loop's thread: with a write-ahead log a commit takes tens of
microseconds and survives the end of the process. Step entries are written once, when an execution ends.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emulator.googleapi.database import Database
from emulator.googleapi.messages import Json
from emulator.workflows_api.resources import UNFINISHED, Execution, Revision, Workflow
from emulator.workflows_api.variables import pack, unpack

_SCHEMA_VERSION = 2
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
_COLUMNS = ("name", "workflow", "revision_id", "state", "create_time", "start_time", "end_time")
_EXTRA = ("error", "labels", "call_log_level", "history_level", "no_buffering", "current_steps", "attempt")
_OPERATIONS = 1_000  # that are kept
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
    """The state of both APIs; names are full resource names."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "workflows.sqlite", _SCHEMA, _SCHEMA_VERSION)

    # Workflows and revisions

    def put_workflow(self, workflow: Workflow, revision: Revision | None = None) -> None:
        """Write a workflow, and a new revision if there is one."""
        with self.transaction():
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
        """A workflow."""
        row = self._row("SELECT data FROM workflows WHERE name = ?", name)
        return Workflow(**json.loads(row[0])) if row else None

    def workflows(self, location: str) -> list[Workflow]:
        """The workflows of a location, in the order of their names."""
        rows = self._database.execute("SELECT data FROM workflows WHERE location = ? ORDER BY name", (location,))
        return [Workflow(**json.loads(data)) for (data,) in rows]

    def revision(self, workflow: str, revision_id: str) -> Revision | None:
        """A revision of a workflow."""
        row = self._row("SELECT data FROM revisions WHERE workflow = ? AND revision_id = ?", workflow, revision_id)
        return Revision(**json.loads(row[0])) if row else None

    def revisions(self, workflow: str) -> list[Revision]:
        """The revisions of a workflow, newest first."""
        rows = self._database.execute(
            "SELECT data FROM revisions WHERE workflow = ? ORDER BY revision_id DESC", (workflow,)
        )
        return [Revision(**json.loads(data)) for (data,) in rows]

    def delete_workflow(self, name: str) -> None:
        """Delete a workflow with its revisions, executions and step entries."""
        with self.transaction():
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
        columns = (*_COLUMNS, "argument", "extra")
        values = [getattr(execution, name) for name in _COLUMNS] + [execution.argument, _extra(execution)]
        marks = ", ".join("?" * len(columns))
        self._database.execute(f"INSERT INTO executions ({', '.join(columns)}) VALUES ({marks})", values)  # noqa: S608 (constant columns)

    def update_execution(self, execution: Execution, history: Sequence[Json] | None = None) -> None:
        """Write the fields that change, and the step entries of an execution that has ended."""
        with self.transaction():
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
                    "INSERT OR REPLACE INTO histories VALUES (?, ?)", (execution.name, json.dumps(pack(history)))
                )

    def execution(self, name: str) -> Execution | None:
        """An execution."""
        row = self._row(f"SELECT {', '.join(_COLUMNS)}, argument, result, extra FROM executions WHERE name = ?", name)  # noqa: S608 (constant columns)
        return _execution(row) if row else None

    def executions(
        self, workflow: str, order: Sequence[tuple[str, bool]], *, ceiling: int | None, skip: int, full: bool
    ) -> Iterator[Execution]:
        """The executions of a workflow, ordered by API field names, newest first by default.

        Args:
            ceiling: leaves out executions that were created after this mark.
            skip: how many executions to leave out.
            full: reads argument and result as well.
        """
        keys = [f"{ORDER_COLUMNS[name]} {'DESC' if down else 'ASC'}" for name, down in order]
        keys += ["seq DESC"] if keys else ["create_time DESC", "seq DESC"]
        texts = "argument, result" if full else "'null', NULL"
        rows = self._database.execute(
            f"SELECT {', '.join(_COLUMNS)}, {texts}, extra FROM executions"  # noqa: S608 (constant columns)
            f" WHERE workflow = ? AND seq <= ? ORDER BY {', '.join(keys)} LIMIT -1 OFFSET ?",
            (workflow, self.ceiling() if ceiling is None else ceiling, skip),
        )
        return map(_execution, rows)

    def ceiling(self) -> int:
        """A mark that separates the executions stored so far from later ones."""
        (seq,) = self._database.execute("SELECT coalesce(max(seq), 0) FROM executions").fetchone()
        return int(seq)

    def unfinished(self) -> list[Execution]:
        """The ACTIVE and QUEUED executions, oldest first."""
        marks = ", ".join(repr(state) for state in sorted(UNFINISHED))
        rows = self._database.execute(
            f"SELECT {', '.join(_COLUMNS)}, argument, result, extra FROM executions"  # noqa: S608 (constant columns)
            f" WHERE state IN ({marks}) ORDER BY seq"
        )
        return [_execution(row) for row in rows]

    def history(self, execution: str) -> list[Json]:
        """The step entries of an execution that has ended."""
        row = self._row("SELECT entries FROM histories WHERE execution = ?", execution)
        return unpack(json.loads(row[0])) if row else []

    def delete_history(self, execution: str) -> None:
        """Delete the step entries of an execution."""
        self._database.execute("DELETE FROM histories WHERE execution = ?", (execution,))

    def prune(self, *, keep: int, histories: int, ended_before: int, limit: int) -> bool:
        """Delete executions that ended, oldest first, and step entries, up to `limit` of each.

        Args:
            keep: how many executions are kept at most, besides unfinished ones.
            histories: of how many executions the step entries are kept.
            ended_before: nanoseconds since 1970; executions that ended earlier are deleted.

        Returns:
            Whether there may be more to delete.
        """
        marks = ", ".join(repr(state) for state in sorted(UNFINISHED))
        newest = self._row("SELECT seq FROM executions ORDER BY seq DESC LIMIT 1 OFFSET ?", keep)
        rows = self._database.execute(
            f"SELECT name FROM (SELECT seq, name, end_time FROM executions WHERE state NOT IN ({marks})"  # noqa: S608 (constant states)
            " ORDER BY seq LIMIT ?) WHERE seq <= ? OR end_time < ?",
            (limit, newest[0] if newest else 0, ended_before),
        ).fetchall()
        with self.transaction():
            self._database.executemany("DELETE FROM histories WHERE execution = ?", rows)
            self._database.executemany("DELETE FROM executions WHERE name = ?", rows)
            dropped = self._database.execute(
                "DELETE FROM histories WHERE rowid IN (SELECT rowid FROM histories WHERE rowid <="
                " (SELECT rowid FROM histories ORDER BY rowid DESC LIMIT 1 OFFSET ?) ORDER BY rowid LIMIT ?)",
                (histories, limit),
            ).rowcount
            self._database.execute(
                "DELETE FROM operations WHERE seq <= (SELECT max(seq) FROM operations) - ?", (_OPERATIONS,)
            )
        self.shrink()
        return len(rows) == limit or dropped == limit

    # Long-running operations

    def add_operation(self, location: str, operation: Json) -> None:
        """Write a new operation."""
        self._database.execute(
            "INSERT INTO operations (name, location, data) VALUES (?, ?, ?)",
            (operation["name"], location, json.dumps(operation)),
        )

    def operation(self, name: str) -> Json | None:
        """An operation in JSON."""
        row = self._row("SELECT data FROM operations WHERE name = ?", name)
        return dict(json.loads(row[0])) if row else None

    def operations(self, location: str) -> list[Json]:
        """The operations of a location, newest first."""
        rows = self._database.execute("SELECT data FROM operations WHERE location = ? ORDER BY seq DESC", (location,))
        return [json.loads(data) for (data,) in rows]

    def delete_operation(self, name: str) -> None:
        """Delete an operation."""
        self._database.execute("DELETE FROM operations WHERE name = ?", (name,))


def _extra(execution: Execution) -> str:
    return json.dumps({name: getattr(execution, name) for name in _EXTRA})


def _execution(row: tuple[Any, ...]) -> Execution:
    *plain, argument, result, extra = row
    fields = dict(zip(_COLUMNS, plain, strict=True))
    return Execution(**fields, argument=argument, result=result, **json.loads(extra))
