"""The gRPC front end of an API: handlers for its methods, errors as status codes with Google's details."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.rpc import status_pb2

from emulator.disk import DiskError
from emulator.googleapi.errors import ApiError, InternalError, unavailable
from emulator.googleapi.messages import Message, write
from emulator.googleapi.methods import Method

logger = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[Any, Any]


def service(
    name: str, methods: Iterable[Method], streams: dict[str, grpc.RpcMethodHandler] | None = None
) -> grpc.GenericRpcHandler:
    """A service's methods, to add to a server; `streams` are those that stream, by name."""
    handlers = {method.rpc: _unary(method) for method in methods if method.rpc} | (streams or {})
    handler: grpc.GenericRpcHandler = grpc.method_handlers_generic_handler(name, handlers)
    return handler


def stream(
    request: type[Message], response: type[Message], answer: Callable[[AsyncIterator[Message]], AsyncIterator[Message]]
) -> grpc.RpcMethodHandler:
    """The handler of a method that streams both ways."""

    async def handle(requests: AsyncIterator[Message], context: Context) -> AsyncIterator[Message]:
        try:
            async for message in answer(requests):
                yield message
        except Exception as error:  # noqa: BLE001
            await _abort(context, error)

    handler: grpc.RpcMethodHandler = grpc.stream_stream_rpc_method_handler(
        handle, request.FromString, response.SerializeToString
    )
    return handler


def _unary(method: Method) -> grpc.RpcMethodHandler:
    async def handle(message: Message, context: Context) -> Message:
        try:
            return await method.call_message(message)
        except Exception as error:  # noqa: BLE001
            await _abort(context, error)

    handler: grpc.RpcMethodHandler = grpc.unary_unary_rpc_method_handler(handle, method.request.FromString, _serialized)
    return handler


def _serialized(message: Message) -> bytes:
    content: bytes = message.SerializeToString()
    return content


async def _abort(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, DiskError):
        error = unavailable(error)
    if not isinstance(error, ApiError):
        logger.error("gRPC request failed", exc_info=error)
        error = InternalError()
    status = write(status_pb2.Status, error.rpc_status())
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(_CODES[error.number], error.message, details)
    raise AssertionError("abort always raises")
