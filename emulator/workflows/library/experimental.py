"""`experimental.executions`: child executions, from the time before connectors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from emulator.workflows.errors import type_error
from emulator.workflows.library import expecting
from emulator.workflows.library.table import BLOCKING, LibraryFunction, declare
from emulator.workflows.values import shown_type

if TYPE_CHECKING:
    from emulator.workflows.runtime.scope import Frame


async def run(
    frame: Frame, workflow_id: Any, argument: Any = None, location: Any = None, project_id: Any = None
) -> Any:
    """Run another workflow and wait for its result."""
    from emulator.workflows.connectors.helpers import run_execution

    arguments = {"workflow_id": workflow_id, "argument": argument, "location": location, "project_id": project_id}
    return await run_execution(frame, arguments)


async def run_all(
    frame: Frame, workflow_id: Any, arguments: Any, location: Any = None, project_id: Any = None
) -> list[Any]:
    """Run another workflow once for each argument; the results in order."""
    values = expecting.sequence("experimental.executions.map", "arguments", arguments)
    tasks = [asyncio.ensure_future(run(frame, workflow_id, value, location, project_id)) for value in values]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def execution_error(e: Any) -> Any:
    """The failed child's error, from the error that `run` raised."""
    if type(e) is not dict:
        raise type_error(f"experimental.executions.execution_error: expecting a map, got {shown_type(e)}")
    operation = e.get("operation")
    return operation.get("error") if type(operation) is dict else None


FUNCTIONS: list[LibraryFunction] = [
    *declare(
        "experimental.executions",
        {
            "run": ("workflow_id argument? location? project_id?", run),
            "map": ("workflow_id arguments location? project_id?", run_all),
        },
        BLOCKING,
    ),
    *declare("experimental.executions", {"execution_error": ("e", execution_error)}),
]
