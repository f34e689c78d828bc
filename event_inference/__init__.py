"""The pipeline's Python client, its command `einf`, and its cost model, for the laptop and the cloud alike.

    from event_inference import Client

    client = Client()                                  # finds the running local stack, or the cloud you configured
    print(client.submit("cat.png").wait(timeout=60).label)

Importing the package loads none of Google's clients; the first request does.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from event_inference.aio import AsyncClient
    from event_inference.client import Client
    from event_inference.errors import (
        CloudConfirmationError,
        EventInferenceError,
        InputError,
        TargetError,
        UnreachableError,
        WaitTimeoutError,
    )
    from event_inference.inputs.orders import Order, Replay
    from event_inference.outcomes.documents import Batch, Document, Failed, Rejected, Result
    from event_inference.outcomes.handle import Handle, Status
    from event_inference.targets import Target
    from event_inference.undelivered import Undelivered

_MODULES = {
    "AsyncClient": "aio",
    "Batch": "outcomes.documents",
    "Client": "client",
    "CloudConfirmationError": "errors",
    "Document": "outcomes.documents",
    "EventInferenceError": "errors",
    "Failed": "outcomes.documents",
    "Handle": "outcomes.handle",
    "InputError": "errors",
    "Order": "inputs.orders",
    "Rejected": "outcomes.documents",
    "Replay": "inputs.orders",
    "Result": "outcomes.documents",
    "Status": "outcomes.handle",
    "Target": "targets",
    "TargetError": "errors",
    "Undelivered": "undelivered",
    "UnreachableError": "errors",
    "WaitTimeoutError": "errors",
}

__all__ = [
    "AsyncClient",
    "Batch",
    "Client",
    "CloudConfirmationError",
    "Document",
    "EventInferenceError",
    "Failed",
    "Handle",
    "InputError",
    "Order",
    "Rejected",
    "Replay",
    "Result",
    "Status",
    "Target",
    "TargetError",
    "Undelivered",
    "UnreachableError",
    "WaitTimeoutError",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
