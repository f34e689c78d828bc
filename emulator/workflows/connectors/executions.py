"""Child executions: `executions.run` of the Workflow Executions connector, and `experimental.executions`."""

import asyncio
from typing import Any

from emulator.workflows import assumptions, limits
from emulator.workflows.connectors.client import call, operation_error
from emulator.workflows.connectors.methods import METHODS
from emulator.workflows.errors import failure
from emulator.workflows.library.builtin import declare
from emulator.workflows.library.http import checked_timeout
from emulator.workflows.runtime.execution import Frame
from emulator.workflows.values import decode_json, encode_json

_EXECUTIONS = "googleapis.workflowexecutions.v1.projects.locations.workflows.executions"
_CREATE, _GET = METHODS[f"{_EXECUTIONS}.create"], METHODS[f"{_EXECUTIONS}.get"]
_NO_ARGUMENT: Any = object()


async def run_connector(
    frame: Frame,
    workflow_id: str,
    location: str | None = None,
    project_id: str | None = None,
    argument: Any = _NO_ARGUMENT,
    connector_params: dict[str, Any] | None = None,
) -> Any:
    """Start an execution of another workflow and wait for its result."""
    environment, clock = frame.execution.environment, frame.execution.runtime.clock
    project, location = project_id or environment.project_id, location or environment.location
    parent = f"projects/{project}/locations/{location}/workflows/{workflow_id}"
    body = {} if argument is _NO_ARGUMENT else {"argument": encode_json(argument)}
    parameters = connector_params or {}
    timeout = checked_timeout(parameters.get("timeout"), limits.CONNECTOR_TIMEOUT_S, limits.OPERATION_TIMEOUT_S)
    deadline, delay = clock.now() + timeout, assumptions.CHILD_POLL_S
    execution = await call(frame, _CREATE, {"parent": parent, "body": body, "connector_params": parameters})
    while execution.get("state") in ("ACTIVE", "QUEUED"):
        if clock.now() >= deadline:
            raise failure("TimeoutError", "the child execution did not end in time")
        await clock.sleep(delay)
        delay = min(delay * 1.25, 60.0)
        execution = await call(frame, _GET, {"name": execution["name"], "connector_params": parameters})
    if execution.get("state") != "SUCCEEDED":
        raise operation_error("Execution failed or cancelled.", execution)
    return decode_json(execution.get("result") or "null")


async def run(
    frame: Frame, workflow_id: str, argument: Any = None, location: str | None = None, project_id: str | None = None
) -> Any:
    """The predecessor of the connector."""
    return await run_connector(frame, workflow_id, location, project_id, argument)


async def run_all(
    frame: Frame,
    workflow_id: str,
    arguments: list[Any],
    location: str | None = None,
    project_id: str | None = None,
) -> list[Any]:
    """Run another workflow concurrently, once for each argument; the results in order."""
    tasks = [asyncio.ensure_future(run(frame, workflow_id, value, location, project_id)) for value in arguments]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def execution_error(e: dict[str, Any]) -> Any:
    """The child's error, from the error that `run` raised."""
    operation = e.get("operation")
    return operation.get("error") if type(operation) is dict else None


FUNCTIONS = [
    *declare(_EXECUTIONS, {"run": run_connector}),
    *declare("experimental.executions", {"run": run, "map": run_all, "execution_error": execution_error}),
]
