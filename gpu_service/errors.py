"""What can go wrong, by who acts next; the status and the code are the error's own.

ServiceError
├── RequestError             the caller changes the request
│   ├── MalformedRequest     400  not of the contract's shape
│   ├── InvalidRequest       400  of the right shape, but its input cannot be processed
│   ├── ModelNotFound        404
│   ├── RouteNotFound        404
│   ├── MethodNotAllowed     405
│   └── TooLarge             413
├── InstanceError            400  one instance is at fault; in a request of many it fails alone
├── AgainError               the caller tries again
│   ├── Overloaded           429  the queue is full
│   ├── Unavailable          503  starting, or stopping
│   └── DeadlineExceeded     504
├── InferenceFailed          500  the model failed on this instance
├── StorageFailed            502  Cloud Storage failed
└── StartError               the process ends: a GPU or a model that was promised is not there
"""


class ServiceError(Exception):
    """An error that the client may read: `message` never holds internals."""

    status = 500
    code = "internal"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code

    @property
    def headers(self) -> dict[str, str]:
        return {}


class RequestError(ServiceError):
    status = 400


class MalformedRequest(RequestError):  # noqa: N818  named as the reply's code is
    code = "malformed_request"


class InvalidRequest(RequestError):  # noqa: N818
    code = "invalid_request"


class ModelNotFound(RequestError):  # noqa: N818
    status = 404
    code = "model_not_found"


class RouteNotFound(RequestError):  # noqa: N818
    status = 404
    code = "not_found"


class MethodNotAllowed(RequestError):  # noqa: N818
    status = 405
    code = "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        super().__init__(f"This route takes {allowed}.")
        self.allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        return {"allow": self.allowed}


class TooLarge(RequestError):  # noqa: N818
    status = 413
    code = "too_large"


class InstanceError(ServiceError):
    status = 400
    code = "invalid_instance"


class AgainError(ServiceError):
    """`retry_after` is in whole seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after)}


class Overloaded(AgainError):  # noqa: N818
    status = 429
    code = "overloaded"


class Unavailable(AgainError):  # noqa: N818
    code = "unavailable"


class DeadlineExceeded(AgainError):  # noqa: N818
    status = 504
    code = "deadline_exceeded"


class InferenceFailed(ServiceError):  # noqa: N818
    code = "inference_failed"


class StorageFailed(ServiceError):  # noqa: N818
    status = 502
    code = "storage_failed"


class StartError(ServiceError):
    code = "cannot_start"
