"""`events`: callbacks."""

from typing import Any

from emulator.workflows import limits
from emulator.workflows.errors import failure, type_error, value_error
from emulator.workflows.library.builtin import declare
from emulator.workflows.library.http import METHODS
from emulator.workflows.runtime.execution import Execution, Frame
from emulator.workflows.values import normal


def create_callback_endpoint(execution: Execution, http_callback_method: str = "POST") -> dict[str, Any]:
    """A new endpoint that accepts one HTTP method."""
    if http_callback_method not in METHODS:
        raise value_error(f"events.create_callback_endpoint: unknown method '{http_callback_method}'")
    callback = execution.runtime.callbacks.create(execution.environment.execution_name, http_callback_method)
    return {"url": callback.url}


async def await_callback(frame: Frame, callback: dict[str, Any], timeout: float = limits.CALLBACK_TIMEOUT_S) -> Any:
    """The next request at an endpoint."""
    if timeout <= 0:
        raise value_error("events.await_callback: argument 'timeout' must be positive")
    runtime, url = frame.execution.runtime, callback.get("url")
    endpoint = runtime.callbacks.by_url(url) if type(url) is str else None
    if endpoint is None:
        raise type_error("events.await_callback: argument 'callback' is not an endpoint of this execution")
    request = await endpoint.next_request(timeout, runtime.clock)
    if request is None:
        raise failure("TimeoutError", f"no callback received within {timeout} seconds")
    return normal(request)


FUNCTIONS = declare("events", {"create_callback_endpoint": create_callback_endpoint, "await_callback": await_callback})
