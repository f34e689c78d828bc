"""The REST v1 routes of ``workflowexecutions.googleapis.com``."""

from starlette.requests import Request
from starlette.routing import Route

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.rest import body, query, resource, route
from emulator.workflows.runtime.callbacks import http_request
from emulator.workflows_api.executions import Executions
from emulator.workflows_api.messages import read_execution
from emulator.workflows_api.resources import Json

_PARENT = ("projects", "locations", "workflows")
_NAME = (*_PARENT, "executions")
_WORKFLOW = "/v1/projects/{projects}/locations/{locations}/workflows/{workflows}"
_EXECUTIONS = f"{_WORKFLOW}/executions"
_EXECUTION = f"{_EXECUTIONS}/{{executions}}"
_ANY_METHOD = "GET HEAD POST PUT DELETE OPTIONS PATCH"


class ExecutionRoutes:
    """One handler for each method of the API."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    def routes(self) -> list[Route]:
        """Custom verbs first, as ``{executions}`` would take ``id:verb`` too."""
        return [
            route(f"{_WORKFLOW}:triggerPubsubExecution", "POST", self.trigger),
            route(f"{_EXECUTION}:cancel", "POST", self.cancel),
            route(f"{_EXECUTION}:exportData", "GET", self.export_data),
            route(f"{_EXECUTION}:deleteExecutionHistory", "POST", self.delete_history),
            route(_EXECUTIONS, "POST", self.create),
            route(_EXECUTIONS, "GET", self.list),
            route(_EXECUTION, "GET", self.get),
            route(f"{_EXECUTION}/stepEntries", "GET", self.step_entries),
            route(f"{_EXECUTION}/stepEntries/{{stepEntries}}", "GET", self.step_entry),
            route(f"{_EXECUTION}/callbacks", "GET", self.callbacks),
            route(f"{_EXECUTION}/callbacks/{{callbacks}}", _ANY_METHOD, self.call_back),
        ]

    async def create(self, request: Request) -> Json:
        return self._executions.create(resource(request, *_PARENT), read_execution(await body(request)))

    async def list(self, request: Request) -> Json:
        given = query(request, "pageSize", "pageToken", "view", "filter", "orderBy")
        return self._executions.page(resource(request, *_PARENT), **given)

    async def get(self, request: Request) -> Json:
        return self._executions.get(resource(request, *_NAME), **query(request, "view"))

    async def cancel(self, request: Request) -> Json:
        return self._executions.cancel(resource(request, *_NAME))

    async def export_data(self, request: Request) -> Json:
        return self._executions.export_data(resource(request, *_NAME))

    async def delete_history(self, request: Request) -> Json:
        return self._executions.delete_history(resource(request, *_NAME))

    async def step_entries(self, request: Request) -> Json:
        given = query(request, "pageSize", "pageToken", "skip", "filter", "orderBy")
        return self._executions.step_entries(resource(request, *_NAME), **given)

    async def step_entry(self, request: Request) -> Json:
        return self._executions.step_entry(resource(request, *_NAME, "stepEntries"))

    async def callbacks(self, request: Request) -> Json:
        given = query(request, "pageSize", "pageToken")
        return self._executions.callbacks(resource(request, *_NAME), **given)

    async def call_back(self, request: Request) -> Json:
        name = resource(request, *_NAME, "callbacks")
        content, url = await request.body(), request.url
        target = f"{url.path}?{url.query}" if url.query else url.path
        parameters = request.query_params.multi_items()
        try:
            received = http_request(request.method, target, parameters, request.headers.items(), content)
        except ValueError as error:
            raise InvalidArgumentError(f"the callback's body is not readable: {error}") from error
        return self._executions.call_back(name, received)

    async def trigger(self, request: Request) -> Json:
        push = await body(request)
        mode = request.query_params.get("__GCP_CloudEventsMode") or request.query_params.get("GCPCloudEventsMode")
        if mode:
            push.setdefault("GCPCloudEventsMode", mode)
        return self._executions.trigger_pubsub(resource(request, *_PARENT), push)
