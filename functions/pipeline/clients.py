"""The Google clients, each created once per process, when first needed.

STORAGE_EMULATOR_HOST is honoured by the storage client itself; WORKFLOWS_EMULATOR_HOST (host:port) gives
the executions client a plain-text channel, for which Google defines no variable.
"""

import functools
import os
from typing import TYPE_CHECKING

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import TransportError
from requests.exceptions import RequestException

if TYPE_CHECKING:
    from google.cloud.storage import Bucket, Client
    from google.cloud.workflows.executions_v1 import ExecutionsClient

AGAIN = (GoogleAPICallError, RetryError, TransportError, RequestException)
"""What the clients raise when a service still fails after they repeated the call themselves."""


@functools.cache
def storage() -> "Client":
    from google.cloud.storage import Client

    return Client()


def bucket(name: str) -> "Bucket":
    """A bucket by name; no request is made."""
    found: Bucket = storage().bucket(name)
    return found


@functools.cache
def executions() -> "ExecutionsClient":
    from google.cloud.workflows.executions_v1 import ExecutionsClient
    from google.cloud.workflows.executions_v1.services.executions.transports import ExecutionsGrpcTransport

    if host := os.environ.get("WORKFLOWS_EMULATOR_HOST"):
        import grpc

        return ExecutionsClient(transport=ExecutionsGrpcTransport(channel=grpc.insecure_channel(host)))
    return ExecutionsClient()
