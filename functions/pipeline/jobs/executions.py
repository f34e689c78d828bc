"""Starts executions of the workflow, and tells whether one has ended."""

import functools
import json
import os
from typing import TYPE_CHECKING

from google.api_core.exceptions import NotFound

from pipeline.errors import RejectedError
from pipeline.jobs.job import Job
from pipeline.settings import Settings

if TYPE_CHECKING:
    from google.cloud.workflows.executions_v1 import ExecutionsClient

MAX_ARGUMENT = 32 * 1024  # bytes, the service's limit


@functools.cache
def client() -> "ExecutionsClient":
    """The executions client, created once; Google defines no variable for an emulator, so WORKFLOWS_EMULATOR_HOST."""
    from google.cloud.workflows.executions_v1 import ExecutionsClient
    from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcTransport

    if host := os.environ.get("WORKFLOWS_EMULATOR_HOST"):
        import grpc

        return ExecutionsClient(transport=ExecutionsGrpcTransport(channel=grpc.insecure_channel(host)))
    return ExecutionsClient()


def start(settings: Settings, job: Job) -> str:
    """Creates the execution of a claimed job and returns its resource name; creation is not idempotent."""
    argument = encode(job)
    executions = client()
    from google.cloud.workflows.executions_v1 import Execution

    created = executions.create_execution(
        parent=settings.workflow,
        execution=Execution(argument=argument, labels={"job": job.id, "kind": job.kind or "unknown"}),
        timeout=settings.execution_timeout,
    )
    name: str = created.name
    return name


def encode(job: Job) -> str:
    """The workflow's argument.

    Raises:
        RejectedError: `invalid_parameters` when it would reach the service's limit.
    """
    argument = json.dumps(job.argument(), ensure_ascii=False, separators=(",", ":"))
    if len(argument.encode()) >= MAX_ARGUMENT:
        raise RejectedError("invalid_parameters", "The parameters are too long to be passed on.")
    return argument


def has_ended(execution: str, timeout: float) -> bool:
    """Whether nothing more is to come from an execution."""
    try:
        found = client().get_execution(name=execution, timeout=timeout)
    except NotFound:
        return True
    return found.state.name not in ("ACTIVE", "QUEUED")
