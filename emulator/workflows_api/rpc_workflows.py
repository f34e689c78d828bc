"""The gRPC services ``google.cloud.workflows.v1.Workflows``, Operations and Locations."""

from typing import Any

import grpc
from google.cloud.location import locations_pb2
from google.cloud.workflows_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from emulator.googleapi.rpc import service, unary
from emulator.workflows_api import names
from emulator.workflows_api.deployments import Deployments
from emulator.workflows_api.messages import as_json
from emulator.workflows_api.operations import Operations, location
from emulator.workflows_api.resources import Json


def workflows_service(deployments: Deployments) -> grpc.GenericRpcHandler:
    """The management API; a handler to add to a server."""

    def list_(request: Any) -> Json:
        return deployments.page(
            request.parent,
            page_size=request.page_size,
            page_token=request.page_token,
            filter=request.filter,
            order_by=request.order_by,
        )

    def update(request: Any) -> Json:
        mask = ",".join(request.update_mask.paths)
        return deployments.update(request.workflow.name, as_json(request.workflow), mask)

    def revisions(request: Any) -> Json:
        return deployments.list_revisions(request.name, page_size=request.page_size, page_token=request.page_token)

    operation, workflow = operations_pb2.Operation, types.Workflow.pb()
    handlers = {
        "ListWorkflows": unary(types.ListWorkflowsRequest.pb(), types.ListWorkflowsResponse.pb(), list_),
        "GetWorkflow": unary(
            types.GetWorkflowRequest.pb(), workflow, lambda request: deployments.get(request.name, request.revision_id)
        ),
        "CreateWorkflow": unary(
            types.CreateWorkflowRequest.pb(),
            operation,
            lambda request: deployments.create(request.parent, request.workflow_id, as_json(request.workflow)),
        ),
        "DeleteWorkflow": unary(
            types.DeleteWorkflowRequest.pb(), operation, lambda request: deployments.delete(request.name)
        ),
        "UpdateWorkflow": unary(types.UpdateWorkflowRequest.pb(), operation, update),
        "ListWorkflowRevisions": unary(
            types.ListWorkflowRevisionsRequest.pb(), types.ListWorkflowRevisionsResponse.pb(), revisions
        ),
    }
    return service("google.cloud.workflows.v1.Workflows", handlers)


def operations_service(operations: Operations) -> grpc.GenericRpcHandler:
    """google.longrunning.Operations over the operations of the management API."""

    def list_(request: Any) -> Json:
        return operations.page(request.name, page_size=request.page_size, page_token=request.page_token)

    handlers = {
        "GetOperation": unary(
            operations_pb2.GetOperationRequest,
            operations_pb2.Operation,
            lambda request: operations.get(request.name),
        ),
        "ListOperations": unary(operations_pb2.ListOperationsRequest, operations_pb2.ListOperationsResponse, list_),
        "DeleteOperation": unary(
            operations_pb2.DeleteOperationRequest,
            empty_pb2.Empty,  # type: ignore[attr-defined]
            lambda request: operations.delete(request.name),
        ),
    }
    return service("google.longrunning.Operations", handlers)


def locations_service(location_id: str) -> grpc.GenericRpcHandler:
    """google.cloud.location.Locations: every location exists, ``location_id`` is the one listed."""

    def get(request: Any) -> Json:
        name = names.location(request.name)
        return location(names.project(name), names.location_id(name))

    def list_(request: Any) -> Json:
        return {"locations": [location(request.name.removeprefix("projects/"), location_id)]}

    handlers = {
        "GetLocation": unary(locations_pb2.GetLocationRequest, locations_pb2.Location, get),
        "ListLocations": unary(locations_pb2.ListLocationsRequest, locations_pb2.ListLocationsResponse, list_),
    }
    return service("google.cloud.location.Locations", handlers)
