"""The service that the emulator mounts: the jobs of the stack file, their executions and operations."""

import secrets
import string
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from starlette.routing import Route

from emulator.cloud_run_jobs import messages
from emulator.cloud_run_jobs.errors import missing
from emulator.cloud_run_jobs.requests import read_run
from emulator.cloud_run_jobs.resources import Execution, Operation, Task
from emulator.cloud_run_jobs.rest import JobRoutes
from emulator.cloud_run_jobs.runner import GRACE_S, Runner, StartTask
from emulator.cloud_run_jobs.store import Store
from emulator.googleapi import paging
from emulator.googleapi.errors import FailedPreconditionError
from emulator.stack.model import Job
from emulator.workflows_api import validation
from emulator.workflows_api.resources import Json

_ID = string.ascii_lowercase + string.digits

_T = TypeVar("_T")


class Jobs:
    """Everything that the emulator's server needs of Cloud Run jobs.

    The API answers from the beginning; executions that are created before `start` wait until then.

    Args:
        path: the data folder (`jobs.sqlite` lies in it), or None to keep all in memory.
        parent: `projects/…/locations/…` of the jobs.
        jobs: what there is; only the stack file changes it.
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
        """Go on with what was interrupted, and begin what was created since."""
        self._runner.start()

    async def stop(self) -> None:
        """Stop every task where it is; unfinished ones run again after the next start."""
        await self._runner.stop()

    def kill(self) -> None:
        """End all tasks at once; `stop` then returns soon."""
        self._runner.kill()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def routes(self) -> list[Route]:
        """The REST routes, each with its full path."""
        return JobRoutes(self).routes()

    def get(self, name: str) -> Json:
        """A job.

        Raises:
            NotFoundError: no such job.
        """
        return self._rendered(name, self._job(name))

    def page(self, parent: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of the jobs of a location."""
        found = [(name, job) for name, job in self._jobs.items() if parent == self.parent]
        page, token = _cut(found, parent, page_size, page_token)
        return {"jobs": [self._rendered(*item) for item in page]} | token

    def run(self, name: str, body: Json) -> Json:
        """Begin an execution of a job; its operation.

        Raises:
            NotFoundError: no such job.
            InvalidArgumentError: the request breaks a rule.
            FailedPreconditionError: the request's etag is of another definition of the job.
        """
        job = self._job(name)
        request = read_run(body, job.name)
        if request.etag not in ("", messages.etag(job)):
            raise FailedPreconditionError(f"etag {request.etag} is not that of job {job.name}")
        overrides = request.overrides
        execution = Execution(
            name=f"{name}/executions/{job.name}-{''.join(secrets.choice(_ID) for _ in range(5))}",
            job=name,
            uid=str(uuid.uuid4()),
            create_time=self._now(),
            task_count=overrides.task_count or job.tasks,
            parallelism=job.parallelism,
            max_retries=job.max_retries,
            timeout_s=overrides.timeout_s or job.task_timeout,
            args=overrides.args,
            env=overrides.env,
        )
        operation = self._new_operation("run", execution)
        if request.validate_only:
            return messages.validated_json(operation, execution, job)
        self._runner.submit(execution, operation)
        return messages.operation_json(operation, execution, job)

    def execution(self, name: str) -> Json:
        """An execution.

        Raises:
            NotFoundError: no such execution.
        """
        execution = self._execution(name)
        return messages.execution_json(execution, self._jobs.get(execution.job))

    def executions(self, parent: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of the executions of a job, or of all jobs (`…/jobs/-`), newest first."""
        everywhere = parent == f"{self.parent}/jobs/-"
        if not everywhere:
            self._job(parent)
        stored = self._store.executions(None if everywhere else parent)
        page, token = _cut([self._runner.find(each.name) or each for each in stored], parent, page_size, page_token)
        return {"executions": [messages.execution_json(each, self._jobs.get(each.job)) for each in page]} | token

    def cancel(self, name: str) -> Json:
        """Ask an execution to end; the operation of that.

        Raises:
            NotFoundError: no such execution.
            FailedPreconditionError: it has ended.
        """
        execution = self._execution(name)
        operation = self._new_operation("cancel", execution)
        self._runner.cancel(name, operation)
        return messages.operation_json(operation, execution, self._jobs.get(execution.job))

    def tasks(self, parent: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of the tasks of an execution, by index."""
        execution, begun = self._execution(parent), self._store.tasks(parent)
        page, token = _cut(range(execution.task_count), parent, page_size, page_token)
        return {"tasks": [messages.task_json(execution, begun.get(index) or Task(index)) for index in page]} | token

    def task(self, name: str) -> Json:
        """A task.

        Raises:
            NotFoundError: no such task.
        """
        parent = name.rsplit("/", 2)[0]
        execution = self._execution(parent)
        index = name.rsplit("/", 1)[1].removeprefix(f"{execution.id}-task")
        if not index.isdecimal() or int(index) >= execution.task_count:
            raise missing("TASK", name)
        return messages.task_json(execution, self._store.tasks(parent).get(int(index)) or Task(int(index)))

    def operation(self, name: str) -> Json:
        """An operation as it stands.

        Raises:
            NotFoundError: no such operation.
        """
        operation = self._operation(name)
        execution = self._execution(operation.execution)
        return messages.operation_json(operation, execution, self._jobs.get(execution.job))

    def operations(self, parent: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of the operations of a location, newest first."""
        found = self._store.operations() if parent == self.parent else []
        page, token = _cut(found, parent, page_size, page_token)
        return {"operations": [self.operation(each.name) for each in page]} | token

    async def wait(self, name: str, timeout_s: float) -> Json:
        """An operation once it is done, or as it stands after a while."""
        await self._runner.wait(self._operation(name).execution, timeout_s)
        return self.operation(name)

    def _job(self, name: str) -> Job:
        if name not in self._jobs:
            raise missing("JOB", name)
        return self._jobs[name]

    def _rendered(self, name: str, job: Job) -> Json:
        executions = self._store.executions(name)
        latest = (self._runner.find(executions[0].name) or executions[0]) if executions else None
        return messages.job_json(name, job, self._created, len(executions), latest)

    def _execution(self, name: str) -> Execution:
        execution = self._runner.find(name) or self._store.execution(name)
        if execution is None:
            raise missing("EXECUTION", name)
        return execution

    def _operation(self, name: str) -> Operation:
        operation = self._store.operation(name)
        if operation is None:
            raise missing("OPERATION", name)
        return operation

    def _new_operation(self, verb: str, execution: Execution) -> Operation:
        return Operation(f"{self.parent}/operations/{uuid.uuid4()}", verb, execution.name)


def _cut(items: Sequence[_T], parent: str, page_size: str | int, page_token: str) -> tuple[Sequence[_T], Json]:
    """One page of a list, and the token of the next one where there is one."""
    size = validation.page_size(page_size, default=100, largest=1000)
    skip = paging.unseal(page_token, parent).skip
    after = skip + size
    token = {"nextPageToken": paging.seal(paging.Cursor(after), parent)} if after < len(items) else {}
    return items[skip:after], token
