"""Workflows, revisions and executions as they are stored, and in the API's JSON."""

from dataclasses import dataclass, field

from emulator.googleapi import timestamps
from emulator.googleapi.messages import Json

ACTIVE, QUEUED = "ACTIVE", "QUEUED"
DETAILED = "EXECUTION_HISTORY_DETAILED"
SUCCEEDED, FAILED, CANCELLED = "SUCCEEDED", "FAILED", "CANCELLED"
STATES = frozenset({ACTIVE, QUEUED, SUCCEEDED, FAILED, CANCELLED, "UNAVAILABLE"})
UNFINISHED = frozenset({ACTIVE, QUEUED})


@dataclass(slots=True)
class Workflow:
    """A workflow: the fields that its revisions share, and the current revision's id; times in ns since 1970."""

    name: str
    revision_id: str
    create_time: int
    update_time: int
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    call_log_level: str = ""
    history_level: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Revision:
    """One deployed version of a workflow: the fields whose change creates a new revision."""

    workflow: str
    revision_id: str
    create_time: int
    source: str
    service_account: str
    user_env_vars: dict[str, str]
    crypto_key_name: str = ""


@dataclass(slots=True)
class Execution:
    """An execution; times in ns since 1970, `argument` and `result` JSON text."""

    name: str
    workflow: str
    revision_id: str
    state: str
    create_time: int
    argument: str = "null"
    start_time: int | None = None
    end_time: int | None = None
    result: str | None = None
    error: Json | None = None
    labels: dict[str, str] = field(default_factory=dict)
    call_log_level: str = ""
    history_level: str = ""
    no_buffering: bool = False
    current_steps: list[dict[str, str]] = field(default_factory=list)
    attempt: int = 0

    @property
    def duration(self) -> int | None:
        """Nanoseconds from start to end, None for an unfinished execution."""
        return None if self.end_time is None else self.end_time - (self.start_time or self.end_time)


def workflow_json(workflow: Workflow, revision: Revision) -> Json:
    """The Workflow resource at a revision."""
    return _set(
        {
            "name": workflow.name,
            "description": workflow.description,
            "state": "ACTIVE",
            "revisionId": revision.revision_id,
            "createTime": timestamps.rfc3339(workflow.create_time),
            "updateTime": timestamps.rfc3339(workflow.update_time),
            "revisionCreateTime": timestamps.rfc3339(revision.create_time),
            "labels": workflow.labels,
            "serviceAccount": revision.service_account,
            "sourceContents": revision.source,
            "cryptoKeyName": revision.crypto_key_name,
            "callLogLevel": workflow.call_log_level,
            "userEnvVars": revision.user_env_vars,
            "executionHistoryLevel": workflow.history_level,
            "tags": workflow.tags,
        }
    )


def execution_json(execution: Execution, *, full: bool) -> Json:
    """The Execution resource in the FULL or the BASIC view."""
    basic = {
        "name": execution.name,
        "startTime": _time(execution.start_time),
        "endTime": _time(execution.end_time),
        "duration": None if execution.duration is None else timestamps.duration(execution.duration),
        "state": execution.state,
        "workflowRevisionId": execution.revision_id,
    }
    if not full:
        return _set(basic)
    return _set(
        {
            **basic,
            "createTime": timestamps.rfc3339(execution.create_time),
            "argument": execution.argument,
            "result": execution.result,
            "error": execution.error,
            "callLogLevel": execution.call_log_level,
            "status": {"currentSteps": execution.current_steps} if execution.current_steps else None,
            "labels": execution.labels,
            "disableConcurrencyQuotaOverflowBuffering": execution.no_buffering,
            "executionHistoryLevel": execution.history_level,
        }
    )


def _time(nanos: int | None) -> str | None:
    return None if nanos is None else timestamps.rfc3339(nanos)


def _set(fields: Json) -> Json:
    # Protobuf's JSON leaves out fields that have their default value.
    return {key: value for key, value in fields.items() if value not in (None, "", {}, [], False)}
