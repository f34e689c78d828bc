"""The jobs of the stack file's schedules: runs them when they are due, and serves what gcloud asks about them."""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from starlette.requests import Request
from starlette.routing import Route

from emulator.clock import Clock, SystemClock
from emulator.cloud_scheduler.store import Store
from emulator.disk import DiskError
from emulator.googleapi import paging, rest
from emulator.googleapi.errors import ApiError, FailedPreconditionError, NotFoundError, UnimplementedError, unavailable
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import json_method, methods
from emulator.googleapi.timestamps import NANOS, rfc3339
from emulator.stack.cron import next_time
from emulator.stack.model import Schedule

_log = logging.getLogger(__name__)

_LOCATION = "projects/*/locations/*"
_JOB = f"{_LOCATION}/jobs/*"
# A laptop that wakes up notices after at most this time what is due; its timers stand still while it sleeps.
_LONGEST_WAIT_S = 30.0

Publish = Callable[[str, bytes, Mapping[str, str]], str]


class Scheduler:
    """The schedules of a stack; between `start` and `stop` they run.

    A job that was due while the emulator did not run, or several times while the machine slept, runs at its next
    time, or once.

    Args:
        path: the data folder, for `scheduler.sqlite`, or None to keep the state in memory.
        parent: `projects/…/locations/…` of the jobs.
        schedules: the jobs, which only the stack file changes.
        publish: publishes data and attributes to a topic by its full name; raises ApiError or DiskError.
    """

    def __init__(
        self,
        path: Path | None,
        parent: str,
        schedules: Sequence[Schedule],
        publish: Publish,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.parent, self._publish, self._clock = parent, publish, clock or SystemClock()
        self._project = parent.split("/locations/")[0]
        self._jobs = {f"{parent}/jobs/{schedule.name}": schedule for schedule in schedules}
        self._created = self._clock.now()
        self._store = Store(path)
        self._due: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        for name in self._jobs:
            self._plan(name)

    async def start(self) -> None:
        """Run the jobs when they are due."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Run no more jobs."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def routes(self) -> list[Route]:
        """The REST routes, each with its full path."""
        jobs = "/v1/projects/{project}/locations/{location}/jobs"
        return [
            *rest.routes(methods(self)),
            *(rest.route(path, rest.HTTP_METHODS, _refuse) for path in (jobs, f"{jobs}/{{job}}")),
        ]

    @json_method(f"GET /v1/{{name={_JOB}}}", needs="cloudscheduler.jobs.get")
    def get_job(self, name: str) -> Json:
        return self._resource(name, self._job(name))

    @json_method(f"GET /v1/{{parent={_LOCATION}}}/jobs", needs="cloudscheduler.jobs.list")
    def list_jobs(self, parent: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        jobs = list(self._jobs.items()) if parent == self.parent else []
        size = paging.page_size(page_size, default=500, largest=500)
        page, token = paging.page(jobs, size, page_token, parent)
        return paging.listing("jobs", [self._resource(*item) for item in page], token)

    @json_method(f"POST /v1/{{name={_JOB}}}:run", needs="cloudscheduler.jobs.run")
    def run_job(self, name: str) -> Json:
        """Run a job now, also a paused one; its next time stays."""
        self._job(name)
        self._attempt(name)
        return self.get_job(name)

    @json_method(f"POST /v1/{{name={_JOB}}}:pause", needs="cloudscheduler.jobs.pause")
    def pause_job(self, name: str) -> Json:
        return self._set_paused(name, paused=True)

    @json_method(f"POST /v1/{{name={_JOB}}}:resume", needs="cloudscheduler.jobs.enable")
    def resume_job(self, name: str) -> Json:
        return self._set_paused(name, paused=False)

    def _set_paused(self, name: str, *, paused: bool) -> Json:
        if self._is_paused(name, self._job(name)) == paused:
            state, needed = ("PAUSED", "ENABLED") if paused else ("ENABLED", "PAUSED")
            raise FailedPreconditionError(f"The job is {state}, and can only be changed if it is {needed}.")
        self._store.write(name, replace(self._store.history(name), paused=paused))
        self._plan(name)
        self._changed.set()
        return self.get_job(name)

    def _job(self, name: str) -> Schedule:
        if name not in self._jobs:
            raise NotFoundError(f"Job '{name}' not found; jobs come from the stack file's schedules")
        return self._jobs[name]

    def _is_paused(self, name: str, job: Schedule) -> bool:
        paused = self._store.history(name).paused
        return job.paused if paused is None else paused

    def _plan(self, name: str) -> None:
        """Decide when the job runs next."""
        job, self._due = self._jobs[name], {key: time for key, time in self._due.items() if key != name}
        due = None if self._is_paused(name, job) else next_time(job.schedule, job.time_zone, self._clock.now())
        if due is not None:
            self._due[name] = due

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            now = self._clock.now()
            for name in [name for name, due in self._due.items() if due <= now]:
                self._attempt(name)
                self._plan(name)
            await self._clock.wait(self._changed, min([*self._due.values(), now + _LONGEST_WAIT_S]))

    def _attempt(self, name: str) -> None:
        """Publish the job's message, and keep the outcome."""
        job, status = self._jobs[name], None
        try:
            self._publish(self._topic(job), job.message.encode(), job.attributes)
        except (ApiError, DiskError) as error:
            refused = unavailable(error) if isinstance(error, DiskError) else error
            status = refused.rpc_status()
            _log.warning("schedule failed", extra={"job": job.name, "why": refused.message})
        attempted = round(self._clock.now() * NANOS)
        self._store.write(name, replace(self._store.history(name), attempted=attempted, status=status))

    def _topic(self, job: Schedule) -> str:
        return f"{self._project}/topics/{job.topic}"

    def _resource(self, name: str, job: Schedule) -> Json:
        history = self._store.history(name)
        target: Json = {"topicName": self._topic(job), "data": base64.b64encode(job.message.encode()).decode()}
        resource: Json = {
            "name": name,
            "pubsubTarget": {**target, **({"attributes": dict(job.attributes)} if job.attributes else {})},
            "schedule": job.schedule,
            "timeZone": job.time_zone,
            "userUpdateTime": rfc3339(round(self._created * NANOS)),
            "state": "PAUSED" if self._is_paused(name, job) else "ENABLED",
            "status": history.status or {},
        }
        if job.description:
            resource["description"] = job.description
        if name in self._due:
            resource["scheduleTime"] = rfc3339(round(self._due[name] * NANOS))
        if history.attempted is not None:
            resource["lastAttemptTime"] = rfc3339(history.attempted)
        return resource


async def _refuse(request: Request) -> Json:
    raise UnimplementedError(
        f"{request.method} {request.url.path} is not emulated; jobs come from the stack file's schedules"
    )
