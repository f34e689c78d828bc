"""The REST v1 routes of ``workflows.googleapis.com``: workflows, operations, locations."""

from starlette.requests import Request
from starlette.routing import Route

from emulator.googleapi.rest import body, query, resource, route
from emulator.workflows_api.deployments import Deployments
from emulator.workflows_api.messages import read_workflow
from emulator.workflows_api.operations import Operations, location
from emulator.workflows_api.resources import Json

_PARENT = ("projects", "locations")
_NAME = (*_PARENT, "workflows")
_OPERATION_NAME = (*_PARENT, "operations")
_LOCATIONS = "/v1/projects/{projects}/locations"
_LOCATION = f"{_LOCATIONS}/{{locations}}"
_WORKFLOWS = f"{_LOCATION}/workflows"
_WORKFLOW = f"{_WORKFLOWS}/{{workflows}}"
_OPERATIONS = f"{_LOCATION}/operations"
_OPERATION = f"{_OPERATIONS}/{{operations}}"


class WorkflowRoutes:
    """One handler for each method of the API; ``location_id`` is the one that the list of locations shows."""

    def __init__(self, deployments: Deployments, operations: Operations, location_id: str) -> None:
        self._deployments, self._operations, self._location_id = deployments, operations, location_id

    def routes(self) -> list[Route]:
        """Custom verbs first, as ``{workflows}`` would take ``id:verb`` too."""
        return [
            route(f"{_WORKFLOW}:listRevisions", "GET", self.list_revisions),
            route(_WORKFLOWS, "POST", self.create),
            route(_WORKFLOWS, "GET", self.list),
            route(_WORKFLOW, "GET", self.get),
            route(_WORKFLOW, "PATCH", self.patch),
            route(_WORKFLOW, "DELETE", self.delete),
            route(_OPERATIONS, "GET", self.operations),
            route(_OPERATION, "GET", self.operation),
            route(_OPERATION, "DELETE", self.delete_operation),
            route(_LOCATIONS, "GET", self.locations),
            route(_LOCATION, "GET", self.location),
        ]

    async def create(self, request: Request) -> Json:
        workflow = read_workflow(await body(request))
        params = request.query_params
        workflow_id = params.get("workflowId") or params.get("workflow_id") or ""
        return self._deployments.create(resource(request, *_PARENT), workflow_id, workflow)

    async def list(self, request: Request) -> Json:
        given = query(request, "pageSize", "pageToken", "filter", "orderBy")
        return self._deployments.page(resource(request, *_PARENT), **given)

    async def get(self, request: Request) -> Json:
        revision = request.query_params.get("revisionId") or request.query_params.get("revision_id") or ""
        return self._deployments.get(resource(request, *_NAME), revision)

    async def patch(self, request: Request) -> Json:
        workflow = read_workflow(await body(request))
        mask = request.query_params.get("updateMask") or request.query_params.get("update_mask")
        return self._deployments.update(resource(request, *_NAME), workflow, mask)

    async def delete(self, request: Request) -> Json:
        return self._deployments.delete(resource(request, *_NAME))

    async def list_revisions(self, request: Request) -> Json:
        given = query(request, "pageSize", "pageToken")
        return self._deployments.list_revisions(resource(request, *_NAME), **given)

    async def operations(self, request: Request) -> Json:
        given = query(request, "pageSize", "pageToken")
        return self._operations.page(resource(request, *_PARENT), **given)

    async def operation(self, request: Request) -> Json:
        return self._operations.get(resource(request, *_OPERATION_NAME))

    async def delete_operation(self, request: Request) -> Json:
        return self._operations.delete(resource(request, *_OPERATION_NAME))

    async def locations(self, request: Request) -> Json:
        return {"locations": [location(request.path_params["projects"], self._location_id)]}

    async def location(self, request: Request) -> Json:
        return location(request.path_params["projects"], request.path_params["locations"])
