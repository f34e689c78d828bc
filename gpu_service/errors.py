"""Errors, grouped by who acts next; each has its own HTTP status and code.

ServiceError
├── RequestError             the caller changes the request
│   ├── MalformedRequest     400  not of the documented shape
│   ├── InvalidRequest       400  of the documented shape, but with a value that is not accepted
│   ├── ModelNotFound        404
│   ├── ObjectNotFound       404
│   ├── RouteNotFound        404
│   ├── MethodNotAllowed     405
│   ├── TooLarge             413
│   └── UnsupportedMediaType 415
│       └── UnsupportedEncoding  415
├── InstanceError            400  one instance is at fault; in a request with many it fails alone
├── RetryableError           the caller tries again
│   ├── Overloaded           429  the queue is full
│   ├── Unavailable          503  starting or stopping
│   ├── ModelUnavailable     503  the model is loading, or cannot be loaded
│   └── DeadlineExceeded     504
├── InferenceFailed          500  the model failed on this instance
├── StorageFailed            502  Cloud Storage failed
│   └── GenerationChanged    502  another writer has changed the object
└── StartError               the process ends: a required GPU, model or setting is missing
"""

import copy
from typing import Self


class ServiceError(Exception):
    """An error that clients may read: `message` never contains internals."""

    status = 500
    code = "internal"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code

    @property
    def headers(self) -> dict[str, str]:
        return {}

    def of_instance(self, index: int) -> Self:
        """The same error with the instance at fault in its message."""
        error = copy.copy(self)
        error.message = f"Instance {index}: {self.message}"
        return error


class RequestError(ServiceError):
    status = 400


class MalformedRequest(RequestError):  # noqa: N818  named after the code in the response
    code = "malformed_request"


class InvalidRequest(RequestError):  # noqa: N818
    code = "invalid_request"


class ModelNotFound(RequestError):  # noqa: N818
    status = 404
    code = "model_not_found"


class ObjectNotFound(RequestError):  # noqa: N818
    status = 404
    code = "object_not_found"


class RouteNotFound(RequestError):  # noqa: N818
    status = 404
    code = "not_found"


class MethodNotAllowed(RequestError):  # noqa: N818
    status = 405
    code = "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        super().__init__(f"This route accepts {allowed} only.")
        self.allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        return {"allow": self.allowed}


class TooLarge(RequestError):  # noqa: N818
    status = 413
    code = "too_large"


class UnsupportedMediaType(RequestError):  # noqa: N818
    status = 415
    code = "unsupported_media_type"


class UnsupportedEncoding(UnsupportedMediaType):
    code = "unsupported_encoding"

    def __init__(self, coding: str) -> None:
        super().__init__(f"The content coding {coding!r:.100} is not supported; send gzip, deflate or no coding.")

    @property
    def headers(self) -> dict[str, str]:
        return {"accept-encoding": "gzip, deflate"}


class InstanceError(ServiceError):
    status = 400
    code = "invalid_instance"


class RetryableError(ServiceError):
    """`retry_after` is in whole seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after)}


class Overloaded(RetryableError):  # noqa: N818
    status = 429
    code = "overloaded"


class Unavailable(RetryableError):  # noqa: N818
    code = "unavailable"


class ModelUnavailable(RetryableError):  # noqa: N818
    code = "model_unavailable"


class DeadlineExceeded(RetryableError):  # noqa: N818
    status = 504
    code = "deadline_exceeded"


class InferenceFailed(ServiceError):  # noqa: N818
    code = "inference_failed"


class StorageFailed(ServiceError):  # noqa: N818
    status = 502
    code = "storage_failed"


class GenerationChanged(StorageFailed):
    pass


class StartError(ServiceError):
    code = "cannot_start"
