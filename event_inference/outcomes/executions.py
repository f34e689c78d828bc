"""Executions of the workflow: the one of a job, its current step, and where a failed one stopped."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from event_inference.access.clients import Connection

if TYPE_CHECKING:
    from google.cloud.workflows import executions_v1

_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution of the workflow.

    Attributes:
        id: the last part of its resource name.
        state: `ACTIVE`, `QUEUED`, `SUCCEEDED`, `FAILED` or `CANCELLED`.
        steps: the current steps, or those in which it ended, innermost last.
        place: routine, step, line and column of workflow.yaml where it failed.
        error: the error's text; empty unless it failed.
        input, document: names of the object and of the document; None in listings, and for micro-batches.
    """

    id: str
    job: str | None
    kind: str | None
    state: str
    started: datetime | None
    steps: list[str]
    place: str | None = None
    error: str = ""
    input: str | None = None
    document: str | None = None

    @property
    def is_running(self) -> bool:
        return self.state in ("ACTIVE", "QUEUED")


def of_job(connection: Connection, job: str) -> Execution | None:
    """The newest execution of a job, with its current steps; None if none was started, or it was forgotten."""
    found = next(_listed(connection, f'labels.job="{job}"', page_size=1), None)
    return None if found is None else get(connection, found.name)


def get(connection: Connection, name: str) -> Execution:
    """An execution by its resource name or id.

    Raises:
        NotFound: there is none.
    """
    full = name if "/" in name else f"{connection.target.workflow}/executions/{name}"
    return _execution(connection.executions.get_execution(name=full, timeout=_TIMEOUT_S))


def newest(connection: Connection, since: datetime) -> Iterator[Execution]:
    """The executions started at or after a time, newest first; queued ones too."""
    for execution in _listed(connection, "", page_size=100):
        if execution.start_time and execution.start_time < since:
            return
        yield _execution(execution)


def _listed(connection: Connection, filter: str, page_size: int) -> Iterator["executions_v1.Execution"]:
    request = {"parent": connection.target.workflow, "filter": filter, "page_size": page_size}
    return iter(connection.executions.list_executions(request=request, timeout=_TIMEOUT_S))


def _execution(execution: "executions_v1.Execution") -> Execution:
    labels = dict(execution.labels)
    argument = _argument(execution.argument)
    error = execution.error
    return Execution(
        id=execution.name.rpartition("/")[2],
        job=labels.get("job"),
        kind=labels.get("kind"),
        state=execution.state.name,
        started=execution.start_time or None,
        steps=[step.step for step in execution.status.current_steps] if execution.status else [],
        place=_place(list(error.stack_trace.elements)) if error else None,
        error=str(error.context or error.payload) if error else "",
        input=argument.get("input", {}).get("name"),
        document=argument.get("document"),
    )


def _argument(text: str) -> dict[str, Any]:
    try:
        argument = json.loads(text or "{}")
    except ValueError:  # of another workflow
        return {}
    return argument if isinstance(argument, dict) and isinstance(argument.get("input", {}), dict) else {}


def _place(elements: list[Any]) -> str | None:
    """The innermost element of a stack trace, which is the first."""
    if not elements:
        return None
    first = elements[0]
    return f"workflow.yaml:{first.position.line}:{first.position.column}, step {first.step} of {first.routine}"
