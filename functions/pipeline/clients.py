"""The storage client, created once per process when first needed; it honours STORAGE_EMULATOR_HOST by itself."""

import functools
import os
from typing import TYPE_CHECKING

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import TransportError
from requests.exceptions import RequestException

if TYPE_CHECKING:
    from google.cloud.storage import Bucket, Client

AGAIN = (GoogleAPICallError, RetryError, TransportError, RequestException)
"""What the clients raise when a service still fails after they repeated the call themselves."""


@functools.cache
def storage() -> "Client":
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")  # else asked for, traced or not
    from google.cloud.storage import Client

    return Client()


def bucket(name: str) -> "Bucket":
    """A bucket by name; no request is made."""
    found: Bucket = storage().bucket(name)
    return found
