"""The gRPC service ``google.cloud.workflows.executions.v1.Executions``."""

import grpc
from google.cloud.workflows.executions_v1 import types
from google.protobuf.message import Message

from emulator.googleapi.rpc import service, unary
from emulator.workflows_api.executions import Executions
from emulator.workflows_api.messages import as_json
from emulator.workflows_api.resources import Json

_EXECUTION = types.Execution.pb()


def executions_service(executions: Executions) -> grpc.GenericRpcHandler:
    """A handler to add to a server."""

    def create(request: Message) -> Json:
        return executions.create(request.parent, as_json(request.execution))  # type: ignore[attr-defined]

    def get(request: Message) -> Json:
        return executions.get(request.name, str(request.view))  # type: ignore[attr-defined]

    def list_(request: Message) -> Json:
        given = as_json(request)
        return executions.page(
            given.get("parent", ""),
            page_size=given.get("pageSize", 0),
            page_token=given.get("pageToken", ""),
            view=given.get("view", ""),
            filter=given.get("filter", ""),
            order_by=given.get("orderBy", ""),
        )

    def cancel(request: Message) -> Json:
        return executions.cancel(request.name)  # type: ignore[attr-defined]

    handlers = {
        "CreateExecution": unary(types.CreateExecutionRequest.pb(), _EXECUTION, create),
        "GetExecution": unary(types.GetExecutionRequest.pb(), _EXECUTION, get),
        "ListExecutions": unary(types.ListExecutionsRequest.pb(), types.ListExecutionsResponse.pb(), list_),
        "CancelExecution": unary(types.CancelExecutionRequest.pb(), _EXECUTION, cancel),
    }
    return service("google.cloud.workflows.executions.v1.Executions", handlers)
