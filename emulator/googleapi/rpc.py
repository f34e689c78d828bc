"""How a gRPC method answers: messages of the official clients in and out, refusals as status codes."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import grpc.aio
from google.protobuf import json_format
from google.rpc import status_pb2

from emulator.googleapi.errors import ApiError, InternalError
from emulator.workflows_api.messages import fill
from emulator.workflows_api.resources import Json

logger = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def unary(request: type[Any], response: type[Any], method: Callable[[Any], Json]) -> grpc.RpcMethodHandler:
    """A handler for raw protobuf messages: ``method`` takes one and returns the answer's JSON."""

    async def answer(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return fill(response(), method(message))
        except ApiError as error:
            refusal = error
        except Exception:
            logger.exception("gRPC request failed", extra={"request": request.__name__})
            refusal = InternalError()
        status = json_format.ParseDict(refusal.rpc_status(), status_pb2.Status())
        details = (("grpc-status-details-bin", status.SerializeToString()),)
        return await context.abort(_CODES[refusal.number], refusal.message, details)

    handler: grpc.RpcMethodHandler = grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )
    return handler


def service(name: str, handlers: Mapping[str, grpc.RpcMethodHandler]) -> grpc.GenericRpcHandler:
    """The methods of one service, to add to a server."""
    handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(name, dict(handlers))
    return handler
