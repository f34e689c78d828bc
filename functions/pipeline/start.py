"""Starts the execution of a job that the caller has claimed."""

import json

from pipeline import clients
from pipeline.errors import RejectedError
from pipeline.jobs import Job
from pipeline.settings import Settings

MAX_ARGUMENT = 32 * 1024  # bytes, the service's limit


def encode(job: Job) -> str:
    """The workflow's argument.

    Raises:
        RejectedError: `invalid_parameters` when it would reach the service's limit.
    """
    argument = json.dumps(job.argument(), ensure_ascii=False, separators=(",", ":"))
    if len(argument.encode()) >= MAX_ARGUMENT:
        raise RejectedError("invalid_parameters", "The parameters are too long to be passed on.")
    return argument


def start(settings: Settings, job: Job) -> str:
    """Creates the execution and returns its resource name; creation is not idempotent."""
    argument = encode(job)
    client = clients.executions()
    from google.cloud.workflows.executions_v1 import Execution

    created = client.create_execution(
        parent=settings.workflow,
        execution=Execution(argument=argument, labels={"job": job.id, "kind": job.kind or "unknown"}),
        timeout=settings.execution_timeout,
    )
    name: str = created.name
    return name


def has_ended(execution: str, timeout: float) -> bool:
    """Whether nothing more is to come from an execution."""
    from google.api_core.exceptions import NotFound

    try:
        found = clients.executions().get_execution(name=execution, timeout=timeout)
    except NotFound:
        return True
    return found.state.name not in ("ACTIVE", "QUEUED")
