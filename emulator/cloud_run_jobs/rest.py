"""The REST v2 routes of `run.googleapis.com` that concern jobs."""

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.routing import Route

from emulator.cloud_run_jobs.errors import UnimplementedError
from emulator.cloud_run_jobs.requests import read_cancel, read_wait
from emulator.googleapi.errors import NotFoundError
from emulator.googleapi.rest import body, query, resource, route
from emulator.workflows_api.resources import Json

if TYPE_CHECKING:
    from emulator.cloud_run_jobs.service import Jobs

LONGEST_WAIT_S = 300.0

_PARENT = ("projects", "locations")
_JOB = (*_PARENT, "jobs")
_EXECUTION = (*_JOB, "executions")
_OPERATION = (*_PARENT, "operations")


def _path(*kinds: str) -> str:
    return "/v2/" + "/".join(f"{kind}/{{{kind}}}" for kind in kinds)


class JobRoutes:
    """One handler for each method of the API."""

    def __init__(self, jobs: "Jobs") -> None:
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """Custom verbs first, as `{jobs}` would take `id:verb` too; last what is not emulated."""
        return [
            route(f"{_path(*_JOB)}:run", "POST", self.run),
            route(f"{_path(*_EXECUTION)}:cancel", "POST", self.cancel),
            route(f"{_path(*_OPERATION)}:wait", "POST", self.wait),
            route(f"{_path(*_PARENT)}/jobs", "GET", self.list),
            route(_path(*_JOB), "GET", self.get),
            route(f"{_path(*_JOB)}/executions", "GET", self.executions),
            route(_path(*_EXECUTION), "GET", self.execution),
            route(f"{_path(*_EXECUTION)}/tasks", "GET", self.tasks),
            route(_path(*_EXECUTION, "tasks"), "GET", self.task),
            route(f"{_path(*_PARENT)}/operations", "GET", self.operations),
            route(_path(*_OPERATION), "GET", self.operation),
            route(f"{_path(*_PARENT)}/{{rest:path}}", "GET POST PUT PATCH DELETE", self.others),
            route("/v2/{rest:path}", "GET POST PUT PATCH DELETE", self.nowhere),
        ]

    async def run(self, request: Request) -> Json:
        return self._jobs.run(resource(request, *_JOB), await body(request))

    async def cancel(self, request: Request) -> Json:
        read_cancel(await body(request))
        return self._jobs.cancel(resource(request, *_EXECUTION))

    async def wait(self, request: Request) -> Json:
        timeout_s = read_wait(await body(request), LONGEST_WAIT_S)
        return await self._jobs.wait(resource(request, *_OPERATION), timeout_s)

    async def list(self, request: Request) -> Json:
        return self._jobs.page(resource(request, *_PARENT), **query(request, "pageSize", "pageToken"))

    async def get(self, request: Request) -> Json:
        return self._jobs.get(resource(request, *_JOB))

    async def executions(self, request: Request) -> Json:
        return self._jobs.executions(resource(request, *_JOB), **query(request, "pageSize", "pageToken"))

    async def execution(self, request: Request) -> Json:
        return self._jobs.execution(resource(request, *_EXECUTION))

    async def tasks(self, request: Request) -> Json:
        return self._jobs.tasks(resource(request, *_EXECUTION), **query(request, "pageSize", "pageToken"))

    async def task(self, request: Request) -> Json:
        return self._jobs.task(resource(request, *_EXECUTION, "tasks"))

    async def operations(self, request: Request) -> Json:
        return self._jobs.operations(resource(request, *_PARENT), **query(request, "pageSize", "pageToken"))

    async def operation(self, request: Request) -> Json:
        return self._jobs.operation(resource(request, *_OPERATION))

    async def others(self, request: Request) -> Json:
        message = f"{request.method} {request.url.path} is not emulated; jobs come from the stack file"
        raise UnimplementedError(message)

    async def nowhere(self, request: Request) -> Json:
        raise NotFoundError(f"The requested URL {request.url.path} was not found on this server.")
