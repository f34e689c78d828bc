"""The errors that the APIs answer with, each with Google's HTTP code, status and JSON body.

ApiError
├── InvalidArgumentError      400  the request breaks a rule, whatever the state
├── FailedPreconditionError   400  the resource's state does not allow the request
├── UnauthenticatedError      401  the method needs a permission, and the caller has no identity
├── PermissionDeniedError     403  the caller lacks a permission
├── NotFoundError             404
├── MethodNotAllowedError     405  a callback was called with another HTTP method than it was created for
├── AlreadyExistsError        409
├── AbortedError              409  another writer was faster
├── ResourceExhaustedError    429  a quota is used up
├── InternalError             500  a bug; the client learns no details
├── UnimplementedError        501  Google has the method, the emulator has not
├── UnavailableError          503  the emulator is stopping, or its disk is full; clients retry
└── DeadlineExceededError     504  what the method waits for takes too long
"""

from typing import Any

from emulator import disk
from emulator.access import DeniedError

_TYPES = "type.googleapis.com/google.rpc."
_DOMAINS = {"resourcemanager": "cloudresourcemanager.googleapis.com"}


class ApiError(Exception):
    """An error answer; `field` is the path of the request field at fault, if any."""

    code = 500
    status = "INTERNAL"
    number = 13

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message, self.field = message, field

    @property
    def details(self) -> list[dict[str, Any]]:
        """The `details` of Google's error body, as JSON of packed messages."""
        if not self.field:
            return []
        violation = {"field": self.field, "description": self.message}
        return [{"@type": _TYPES + "BadRequest", "fieldViolations": [violation]}]

    def body(self) -> dict[str, Any]:
        """Google's JSON error body."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def rpc_status(self) -> dict[str, Any]:
        """The error as a google.rpc.Status in JSON, as a failed long-running operation carries it."""
        status: dict[str, Any] = {"code": self.number, "message": self.message}
        if self.details:
            status["details"] = self.details
        return status


class InvalidArgumentError(ApiError):
    code, status, number = 400, "INVALID_ARGUMENT", 3


class FailedPreconditionError(ApiError):
    code, status, number = 400, "FAILED_PRECONDITION", 9


class UnauthenticatedError(ApiError):
    code, status, number = 401, "UNAUTHENTICATED", 16

    def __init__(self) -> None:
        super().__init__(
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or"
            " other valid authentication credential."
        )


class PermissionDeniedError(ApiError):
    """The caller lacks a permission; the message and the details name it and the resource, as Google's services do."""

    code, status, number = 403, "PERMISSION_DENIED", 7

    def __init__(self, error: DeniedError) -> None:
        service = error.permission.partition(".")[0]
        unknown = "resource may not exist" if service == "run" else "it may not exist"
        denied = f"Permission '{error.permission}' denied on resource '{error.resource}' (or {unknown})."
        super().__init__(f"User not authorized to perform this action. {denied}" if service == "pubsub" else denied)
        self._reason = {
            "@type": _TYPES + "ErrorInfo",
            "reason": "IAM_PERMISSION_DENIED",
            "domain": _DOMAINS.get(service, f"{service}.googleapis.com"),
            "metadata": {"permission": error.permission, "resource": error.resource},
        }

    @property
    def details(self) -> list[dict[str, Any]]:
        return [self._reason]


class NotFoundError(ApiError):
    code, status, number = 404, "NOT_FOUND", 5


class MethodNotAllowedError(ApiError):
    code, status, number = 405, "UNIMPLEMENTED", 12


class AlreadyExistsError(ApiError):
    code, status, number = 409, "ALREADY_EXISTS", 6


class AbortedError(ApiError):
    code, status, number = 409, "ABORTED", 10


class ResourceExhaustedError(ApiError):
    code, status, number = 429, "RESOURCE_EXHAUSTED", 8


class InternalError(ApiError):
    def __init__(self) -> None:
        super().__init__("Internal error encountered.")


class UnimplementedError(ApiError):
    code, status, number = 501, "UNIMPLEMENTED", 12


class UnavailableError(ApiError):
    code, status, number = 503, "UNAVAILABLE", 14


class DeadlineExceededError(ApiError):
    code, status, number = 504, "DEADLINE_EXCEEDED", 4


def unavailable(error: disk.DiskError) -> UnavailableError:
    """The answer to a request that the disk stopped; the terminal says it once."""
    disk.report(str(error))
    return UnavailableError(str(error))
