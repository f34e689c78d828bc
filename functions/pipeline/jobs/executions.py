"""Starts executions of the workflow within the hourly quota, and looks up whether one has ended."""

import functools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import BadRequest, Forbidden, NotFound, TooManyRequests, Unauthorized

from pipeline.errors import RejectedError, ThrottledError
from pipeline.jobs import quotas
from pipeline.jobs.job import Job
from pipeline.settings import Settings

if TYPE_CHECKING:
    from google.cloud.workflows.executions_v1 import ExecutionsClient

REFUSALS = (RejectedError, ThrottledError, BadRequest, Unauthorized, Forbidden, NotFound, TooManyRequests)
"""Errors after which the execution certainly does not exist. After any other, such as ServiceUnavailable or
DeadlineExceeded, it may exist although the response was lost."""

MAX_LISTED = 100
MAX_ARGUMENT = 32 * 1024  # bytes, the service's limit


@functools.cache
def client() -> "ExecutionsClient":
    """The process's client; it reads WORKFLOWS_EMULATOR_HOST because Google defines no such variable."""
    from google.cloud.workflows.executions_v1 import ExecutionsClient
    from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcTransport

    if host := os.environ.get("WORKFLOWS_EMULATOR_HOST"):
        import grpc

        return ExecutionsClient(transport=ExecutionsGrpcTransport(channel=grpc.insecure_channel(host)))
    return ExecutionsClient()


def start(settings: Settings, placed: AbstractContextManager[Job], *, is_shareable: bool = False) -> str:
    """Creates the execution of a claimed job and returns its resource name; creation is not idempotent.

    Args:
        placed: the job, entered once the hour has an execution for it; sees the error if it is refused then.
        is_shareable: the job's input could share an execution with others instead.

    Raises:
        RejectedError: the argument is too long.
        ThrottledError: the hour, or Workflows, has no execution left.
    """
    try:
        with _quota(settings, is_shareable=is_shareable).counted(REFUSALS), placed as job:
            return _create(settings, job)
    except TooManyRequests as error:
        raise ThrottledError("the quota of Workflows") from error


def is_throttled(settings: Settings) -> bool:
    """Whether the hour has no execution left."""
    return _quota(settings).is_spent()


def has_ended(execution: str, timeout: float) -> bool:
    """Whether an execution has ended or no longer exists."""
    try:
        found = client().get_execution(name=execution, timeout=timeout)
    except NotFound:
        return True
    return found.state.name not in ("ACTIVE", "QUEUED")


def started(settings: Settings, kind: str, since: datetime) -> Iterator[datetime]:
    """When the newest executions for inputs of a kind started, up to MAX_LISTED since a moment."""
    request = {"parent": settings.workflow, "filter": f'labels.kind="{kind}"', "page_size": MAX_LISTED}
    newest = client().list_executions(request=request, timeout=settings.execution_timeout)
    for execution in islice(newest, MAX_LISTED):
        begun: datetime = execution.start_time or execution.create_time
        if begun < since:
            return
        yield begun


def encode(job: Job) -> str:
    """The workflow's argument; what is prepared is left out where it does not fit.

    Raises:
        RejectedError: `invalid_parameters` if it reaches the service's limit.
    """
    argument = job.argument()
    if job.prepared and (whole := _fitting({**argument, "prepared": job.prepared})):
        return whole
    if text := _fitting(argument):
        return text
    raise RejectedError("invalid_parameters", "The parameters are too long for the workflow's argument.")


def _fitting(argument: Mapping[str, Any]) -> str | None:
    text = json.dumps(argument, ensure_ascii=False, separators=(",", ":"))
    return text if len(text.encode()) < MAX_ARGUMENT else None


def _create(settings: Settings, job: Job) -> str:
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


def _quota(settings: Settings, *, is_shareable: bool = False) -> quotas.Quota:
    return quotas.of(settings.work_bucket, settings.max_executions_per_hour, is_shareable=is_shareable)
