"""Connectors that are more than one request: child executions, secrets as text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator.workflows import choices, limits
from emulator.workflows.connectors.requests import call, operation_error
from emulator.workflows.connectors.table import CONNECTORS
from emulator.workflows.errors import failure, value_error
from emulator.workflows.library import expecting, requests
from emulator.workflows.library.encoding import base64_decode, base64_encode
from emulator.workflows.values import decode_json, encode_json

if TYPE_CHECKING:
    from emulator.workflows.runtime.scope import Frame

_EXECUTIONS = "googleapis.workflowexecutions.v1.projects.locations.workflows.executions"
_SECRETS = "googleapis.secretmanager.v1.projects.secrets.versions"


async def run_execution(frame: Frame, arguments: dict[str, Any]) -> Any:
    """Start an execution of another workflow and wait for its result."""
    environment = frame.execution.environment
    name = expecting.string("executions.run", "workflow_id", arguments.get("workflow_id"))
    project = arguments.get("project_id") or environment.project_id
    location = arguments.get("location") or environment.location
    parent = f"projects/{project}/locations/{location}/workflows/{name}"
    body: dict[str, Any] = {"argument": encode_json(arguments.get("argument"))} if "argument" in arguments else {}
    shared = {"connector_params": arguments.get("connector_params") or {}}
    timeout = requests.seconds(
        shared["connector_params"].get("timeout"), limits.CONNECTOR_TIMEOUT_S, limits.OPERATION_TIMEOUT_S
    )
    clock = frame.execution.runtime.clock
    deadline = clock.now() + timeout
    create = CONNECTORS[f"{_EXECUTIONS}.create"]
    execution = await call(frame, create, {"parent": parent, "body": body, **shared})
    return await _finished(frame, execution, shared, deadline)


async def _finished(frame: Frame, execution: Any, shared: dict[str, Any], deadline: float) -> Any:
    clock, delay = frame.execution.runtime.clock, choices.CHILD_POLL_S
    while execution.get("state") in ("ACTIVE", "QUEUED"):
        if clock.now() >= deadline:
            raise failure("TimeoutError", "the child execution did not end in time")
        await clock.sleep(delay)
        delay = min(delay * 1.25, 60.0)
        execution = await call(frame, CONNECTORS[f"{_EXECUTIONS}.get"], {"name": execution["name"], **shared})
    if execution.get("state") != "SUCCEEDED":
        raise operation_error("Execution failed or cancelled.", execution)
    return decode_json(execution.get("result") or "null")


async def read_secret(frame: Frame, arguments: dict[str, Any]) -> Any:
    """The payload of a secret's version, as text."""
    version = await call(frame, CONNECTORS[f"{_SECRETS}.access"], _secret_name(frame, arguments))
    payload = _secret_bytes(version)
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise value_error("the secret is no UTF-8 text") from None


def _secret_bytes(version: Any) -> bytes:
    return base64_decode(version["payload"]["data"])


def _secret(frame: Frame, arguments: dict[str, Any]) -> str:
    secret = expecting.string("secretmanager", "secret_id", arguments.get("secret_id"))
    project = arguments.get("project_id") or frame.execution.environment.project_id
    return f"projects/{project}/secrets/{secret}"


def _secret_name(frame: Frame, arguments: dict[str, Any]) -> dict[str, Any]:
    name = f"{_secret(frame, arguments)}/versions/{arguments.get('version') or 'latest'}"
    return {"name": name, "connector_params": arguments.get("connector_params") or {}}


async def add_secret(frame: Frame, arguments: dict[str, Any]) -> Any:
    """Add a version to a secret, from text."""
    data = expecting.string("secretmanager", "data", arguments.get("data"))
    payload = {"payload": {"data": base64_encode(data.encode())}}
    shared = {"connector_params": arguments.get("connector_params") or {}}
    return await call(
        frame,
        CONNECTORS["googleapis.secretmanager.v1.projects.secrets.addVersion"],
        {"parent": _secret(frame, arguments), "body": payload, **shared},
    )


@dataclass(frozen=True, slots=True)
class Helper:
    """One such connector; those with `in_expressions` may be called there, arguments by position."""

    call: Callable[[Frame, dict[str, Any]], Awaitable[Any]]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    in_expressions: bool = False


HELPERS: dict[str, Helper] = {
    f"{_EXECUTIONS}.run": Helper(run_execution, ("workflow_id",), ("location", "project_id", "argument")),
    f"{_SECRETS}.accessString": Helper(read_secret, ("secret_id",), ("version", "project_id"), in_expressions=True),
    "googleapis.secretmanager.v1.projects.secrets.addVersionString": Helper(
        add_secret, ("secret_id", "data"), ("project_id",)
    ),
}
