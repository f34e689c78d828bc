"""Cloud Run jobs as the server mounts them: the API, and the executions that it starts."""

import secrets
import string
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from google.cloud.run_v2 import types
from google.longrunning import operations_pb2
from starlette.requests import Request
from starlette.routing import Route

from emulator.cloud_run_jobs import messages, overrides
from emulator.cloud_run_jobs.resources import Execution, Operation, Task
from emulator.cloud_run_jobs.runner import GRACE_S, Runner, StartTask
from emulator.cloud_run_jobs.store import Store
from emulator.googleapi import paging, rest
from emulator.googleapi.errors import FailedPreconditionError, NotFoundError, UnimplementedError
from emulator.googleapi.messages import Json, Message
from emulator.googleapi.methods import message_method, methods, require
from emulator.googleapi.timestamps import NANOS
from emulator.stack.model import Job

_LOCATION = "projects/*/locations/*"
_JOB = f"{_LOCATION}/jobs/*"
_EXECUTION = f"{_JOB}/executions/*"
_OPERATION = f"{_LOCATION}/operations/*"
_LONGEST_WAIT_S = 300.0
_ID = string.ascii_lowercase + string.digits


class Jobs:
    """The jobs of the stack file; executions that are created before `start` wait until then.

    Args:
        path: the data folder, for `jobs.sqlite`, or None to keep the state in memory.
        parent: `projects/…/locations/…` of the jobs.
        jobs: the jobs, which only the stack file changes.
        start_task: starts the process of one attempt of a task.
        grace_s: seconds between SIGTERM and SIGKILL for a task that has to end.
        now: nanoseconds since 1970.
    """

    def __init__(
        self,
        path: Path | None,
        parent: str,
        jobs: Sequence[Job],
        start_task: StartTask,
        *,
        grace_s: float = GRACE_S,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.parent, self._now, self._created = parent, now, now()
        self._jobs = {f"{parent}/jobs/{job.name}": job for job in jobs}
        self._store = Store(path)
        self._runner = Runner(self._store, start_task, grace_s=grace_s, now=now)

    async def start(self) -> None:
        """Resume interrupted executions and start those created since."""
        self._runner.start()

    async def stop(self) -> None:
        """Stop every task; the unfinished ones run again after the next start."""
        await self._runner.stop()

    def kill(self) -> None:
        """Kill every task, so that `stop` returns soon."""
        self._runner.kill()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def prune(self, *, keep: int, ended_before: int, limit: int) -> list[str]:
        """Delete old executions and return their ids; see `Store.prune`."""
        return [name.rsplit("/", 1)[1] for name in self._store.prune(keep=keep, ended_before=ended_before, limit=limit)]

    def routes(self) -> list[Route]:
        """The REST routes, each with its full path."""
        return [
            *rest.routes(methods(self)),
            rest.route("/v2/projects/{project}/locations/{location}/{rest:path}", rest.HTTP_METHODS, _refuse),
            rest.missing("/v2/{rest:path}"),
        ]

    @message_method(f"GET /v2/{{name={_JOB}}}", types.GetJobRequest.pb(), needs="run.jobs.get")
    def get_job(self, request: Message) -> Message:
        return self._message(request.name, self._job(request.name))

    @message_method(f"GET /v2/{{parent={_LOCATION}}}/jobs", types.ListJobsRequest.pb(), needs="run.jobs.list")
    def list_jobs(self, request: Message) -> Message:
        jobs = list(self._jobs.items()) if request.parent == self.parent else []
        page, token = paging.requested_page(jobs, request, request.parent)
        return types.ListJobsResponse.pb()(jobs=[self._message(*item) for item in page], next_page_token=token)

    @message_method(f"POST /v2/{{name={_JOB}}}:run *", types.RunJobRequest.pb(), needs="run.jobs.run")
    def run_job(self, request: Message) -> Message:
        """Start an execution of a job and return its operation."""
        if request.HasField("overrides"):
            require("run.jobs.runWithOverrides", request.name)
        name, job = request.name, self._job(request.name)
        changes = overrides.read(request.overrides, job)
        if request.etag not in ("", messages.etag(job)):
            raise FailedPreconditionError(f"etag {request.etag} is not that of job {job.name}")
        execution = Execution(
            name=f"{name}/executions/{job.name}-{''.join(secrets.choice(_ID) for _ in range(5))}",
            job=name,
            uid=str(uuid.uuid4()),
            create_time=self._now(),
            task_count=changes.task_count or job.tasks,
            parallelism=job.parallelism,
            max_retries=job.max_retries,
            timeout_s=changes.timeout_s or job.task_timeout,
            args=changes.args,
            env=changes.env,
        )
        operation = self._new_operation("run", execution)
        if not request.validate_only:
            self._runner.submit(execution, operation)
        return messages.operation_message(operation, execution, job, validated=request.validate_only)

    @message_method(f"GET /v2/{{name={_EXECUTION}}}", types.GetExecutionRequest.pb(), needs="run.executions.get")
    def get_execution(self, request: Message) -> Message:
        execution = self._execution(request.name)
        return messages.execution_message(execution, self._jobs.get(execution.job))

    @message_method(
        f"GET /v2/{{parent={_JOB}}}/executions", types.ListExecutionsRequest.pb(), needs="run.executions.list"
    )
    def list_executions(self, request: Message) -> Message:
        """The executions of a job, or of all jobs (`…/jobs/-`), newest first."""
        everywhere = request.parent == f"{self.parent}/jobs/-"
        if not everywhere:
            self._job(request.parent)
        page, token = paging.requested_page(
            self._store.executions(None if everywhere else request.parent), request, request.parent
        )
        executions = [self._runner.find(stored.name) or stored for stored in page]
        return types.ListExecutionsResponse.pb()(
            executions=[messages.execution_message(each, self._jobs.get(each.job)) for each in executions],
            next_page_token=token,
        )

    @message_method(
        f"POST /v2/{{name={_EXECUTION}}}:cancel *", types.CancelExecutionRequest.pb(), needs="run.executions.cancel"
    )
    def cancel_execution(self, request: Message) -> Message:
        """Ask an unfinished execution to end and return the operation."""
        execution = self._execution(request.name)
        operation = self._new_operation("cancel", execution)
        self._runner.cancel(request.name, operation)
        return messages.operation_message(operation, execution, self._jobs.get(execution.job))

    @message_method(f"GET /v2/{{parent={_EXECUTION}}}/tasks", types.ListTasksRequest.pb(), needs="run.tasks.list")
    def list_tasks(self, request: Message) -> Message:
        """The tasks of an execution, in the order of their indexes."""
        execution, started = self._execution(request.parent), self._store.tasks(request.parent)
        page, token = paging.requested_page(range(execution.task_count), request, request.parent)
        tasks = [messages.task_message(execution, started.get(index) or Task(index)) for index in page]
        return types.ListTasksResponse.pb()(tasks=tasks, next_page_token=token)

    @message_method(f"GET /v2/{{name={_EXECUTION}/tasks/*}}", types.GetTaskRequest.pb(), needs="run.tasks.get")
    def get_task(self, request: Message) -> Message:
        parent, _, last = request.name.rsplit("/", 2)
        execution = self._execution(parent)
        index = last.removeprefix(f"{execution.id}-task")
        if not index.isdecimal() or int(index) >= execution.task_count:
            raise _missing("TASK", request.name)
        return messages.task_message(execution, self._store.tasks(parent).get(int(index)) or Task(int(index)))

    @message_method(f"GET /v2/{{name={_OPERATION}}}", operations_pb2.GetOperationRequest, needs="run.operations.get")
    def get_operation(self, request: Message) -> Message:
        return self._operation_message(self._operation(request.name))

    @message_method(
        f"GET /v2/{{name={_LOCATION}}}/operations", operations_pb2.ListOperationsRequest, needs="run.operations.list"
    )
    def list_operations(self, request: Message) -> Message:
        """The operations of a location, newest first."""
        operations = self._store.operations() if request.name == self.parent else []
        page, token = paging.requested_page(operations, request, request.name)
        return operations_pb2.ListOperationsResponse(
            operations=[self._operation_message(each) for each in page], next_page_token=token
        )

    @message_method(
        f"POST /v2/{{name={_OPERATION}}}:wait *", operations_pb2.WaitOperationRequest, needs="run.operations.get"
    )
    async def wait_operation(self, request: Message) -> Message:
        """An operation when it is done, or as it is after the timeout."""
        operation = self._operation(request.name)
        timeout_s = request.timeout.ToNanoseconds() / NANOS if request.HasField("timeout") else _LONGEST_WAIT_S
        await self._runner.wait(operation.execution, min(timeout_s, _LONGEST_WAIT_S))
        return self._operation_message(operation)

    def _job(self, name: str) -> Job:
        if name not in self._jobs:
            raise _missing("JOB", name)
        return self._jobs[name]

    def _message(self, name: str, job: Job) -> Message:
        executions = self._store.executions(name)
        latest = (self._runner.find(executions[0].name) or executions[0]) if executions else None
        return messages.job_message(name, job, self._created, len(executions), latest)

    def _execution(self, name: str) -> Execution:
        execution = self._runner.find(name) or self._store.execution(name)
        if execution is None:
            raise _missing("EXECUTION", name)
        return execution

    def _operation(self, name: str) -> Operation:
        operation = self._store.operation(name)
        if operation is None:
            raise _missing("OPERATION", name)
        return operation

    def _operation_message(self, operation: Operation) -> Message:
        execution = self._execution(operation.execution)
        return messages.operation_message(operation, execution, self._jobs.get(execution.job))

    def _new_operation(self, verb: str, execution: Execution) -> Operation:
        return Operation(f"{self.parent}/operations/{uuid.uuid4()}", verb, execution.name)


def _missing(kind: str, name: str) -> NotFoundError:
    """Cloud Run's error for a resource that does not exist; `name` is the full resource name."""
    _, project, _, location, *_, last = name.split("/")
    return NotFoundError(
        f"Resource '{last}' of kind '{kind}' in region '{location}' in project '{project}' does not exist"
    )


async def _refuse(request: Request) -> Json:
    raise UnimplementedError(f"{request.method} {request.url.path} is not emulated; jobs come from the stack file")
