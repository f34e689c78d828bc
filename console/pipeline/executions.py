"""An execution of the workflow with its step entries, by Google's REST API: the Python client has no step entries."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from google.auth.transport.requests import AuthorizedSession

from event_inference import Client, UnreachableError

_TIMEOUT_S = 20
_PAGE, _MOST = 1000, 5000  # step entries
_DETAILED = "EXECUTION_HISTORY_DETAILED"


@dataclass(slots=True)
class Step:
    """One attempt of one step.

    `parent` is the number of the step that contains it; `variables` are those in scope at its end, as far as the level
    of the execution history keeps them.
    """

    number: int
    routine: str
    name: str
    kind: str
    state: str
    started: datetime
    ended: datetime
    parent: int | None = None
    attempt: int | None = None
    iteration: int | None = None
    exception: str = ""
    depth: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return max(0.0, (self.ended - self.started).total_seconds())

    @property
    def failed(self) -> bool:
        return self.state == "failed"


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution; `argument` and `result` are JSON texts; `is_detailed` tells whether its steps have variables."""

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    argument: str
    result: str
    error: str
    revision: str
    is_detailed: bool
    steps: list[Step]

    @property
    def id(self) -> str:
        return self.name.rpartition("/")[2]


def get(client: Client, id: str) -> Execution | None:
    """An execution of the pipeline's workflow; None if it is forgotten.

    Raises:
        UnreachableError: the API does not answer, or refuses.
    """
    name = f"{client.target.workflow}/executions/{id}"
    found = _get(client, name, {"view": "FULL"})
    if found is None:
        return None
    return Execution(
        name=name,
        state=str(found.get("state", "")).lower(),
        started=_time(found.get("startTime")),
        ended=_time(found.get("endTime")),
        argument=found.get("argument", ""),
        result=found.get("result", ""),
        error=str((found.get("error") or {}).get("context") or (found.get("error") or {}).get("payload") or ""),
        revision=found.get("workflowRevisionId", ""),
        is_detailed=found.get("executionHistoryLevel") == _DETAILED,
        steps=_steps(client, name),
    )


def source(client: Client) -> str:
    """The source of the workflow as it is deployed; empty if it is not there.

    Raises:
        UnreachableError: the API does not answer, or refuses.
    """
    found = _request(client, f"{_base(client, client.target.workflows)}/v1/{client.target.workflow}", {}) or {}
    return str(found.get("sourceContents", ""))


def _steps(client: Client, execution: str) -> list[Step]:
    steps: list[Step] = []
    parameters: dict[str, Any] = {"pageSize": _PAGE, "view": "EXECUTION_ENTRY_VIEW_DETAILED"}
    while len(steps) < _MOST:
        answer = _get(client, f"{execution}/stepEntries", parameters) or {}
        steps += [_step(entry) for entry in answer.get("stepEntries", [])]
        if not answer.get("nextPageToken"):
            break
        parameters["pageToken"] = answer["nextPageToken"]
    by_number = {step.number: step for step in steps}
    for step in steps:
        parent = by_number.get(step.parent or 0)
        step.depth = 0 if parent is None else parent.depth + 1
    return steps


def _step(entry: dict[str, Any]) -> Step:
    metadata = entry.get("stepEntryMetadata") or {}
    number = int(metadata["progressNumber"]) if "progressNumber" in metadata else None
    is_attempt = metadata.get("progressType") == "PROGRESS_TYPE_RETRY"
    return Step(
        number=int(entry["entryId"]),
        routine=entry.get("routine", ""),
        name=entry.get("step", ""),
        kind=entry.get("stepType", "").removeprefix("STEP_").lower().replace("_", " "),
        state=entry.get("state", "").removeprefix("STATE_").lower(),
        started=datetime.fromisoformat(entry["createTime"]),
        ended=datetime.fromisoformat(entry.get("updateTime") or entry["createTime"]),
        parent=int(parent) if (parent := (entry.get("navigationInfo") or {}).get("parent")) else None,
        attempt=number if is_attempt else None,
        iteration=None if is_attempt else number,
        exception=(entry.get("exception") or {}).get("payload", ""),
        variables=(entry.get("variableData") or {}).get("variables") or {},
    )


def _get(client: Client, name: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    return _request(client, f"{_base(client, client.target.executions)}/v1/{name}", parameters)


def _base(client: Client, endpoint: str) -> str:
    """The URL of an API's REST form; the emulator has all of them at one port."""
    if not client.target.is_cloud:
        return client.target.storage
    return endpoint if "://" in endpoint else f"https://{endpoint}"


def _request(client: Client, url: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    session: requests.Session = requests.Session()
    if client.target.is_cloud:
        session = AuthorizedSession(client.connection.credentials)
    with session:
        try:
            answer = session.get(url, params=parameters, timeout=_TIMEOUT_S)
            if answer.status_code == requests.codes.not_found:
                return None
            answer.raise_for_status()
            value: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise UnreachableError(f"The Workflows API does not answer: {error}") from error
    return value


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
