"""Refusals of the two APIs, each with Google's status, HTTP code and error body.

ApiError
├── InvalidArgumentError      400  the request can never be right
├── FailedPreconditionError   400  not in the resource's present state
├── NotFoundError             404
├── MethodNotAllowedError     405  a callback asked with another method than it was created for
├── AlreadyExistsError        409
├── ResourceExhaustedError    429  the backlog is full, or a callback has too many unread requests
├── InternalError             500  a defect of ours; says nothing about itself to the client
└── UnavailableError          503  the emulator is stopping; clients try again
"""

from typing import Any

_TYPES = "type.googleapis.com/google.rpc."


class ApiError(Exception):
    """A refusal; ``field`` names the request field at fault where there is one."""

    code = 500
    status = "INTERNAL"
    number = 13

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message, self.field = message, field

    @property
    def details(self) -> list[dict[str, Any]]:
        """The ``details`` of Google's error body, as JSON of packed messages."""
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
        """A google.rpc.Status as JSON: what a failed long-running operation carries."""
        status: dict[str, Any] = {"code": self.number, "message": self.message}
        if self.details:
            status["details"] = self.details
        return status


class InvalidArgumentError(ApiError):
    """The request is malformed or breaks a rule whatever the state."""

    code, status, number = 400, "INVALID_ARGUMENT", 3


class FailedPreconditionError(ApiError):
    """The resource is not in a state that allows the request."""

    code, status, number = 400, "FAILED_PRECONDITION", 9


class NotFoundError(ApiError):
    """There is no such resource."""

    code, status, number = 404, "NOT_FOUND", 5


class MethodNotAllowedError(ApiError):
    """The URL exists, but not for this HTTP method."""

    code, status, number = 405, "UNIMPLEMENTED", 12


class AlreadyExistsError(ApiError):
    """The name is taken."""

    code, status, number = 409, "ALREADY_EXISTS", 6


class ResourceExhaustedError(ApiError):
    """A quota is used up; later it may work."""

    code, status, number = 429, "RESOURCE_EXHAUSTED", 8


class InternalError(ApiError):
    """Something broke on our side."""

    def __init__(self) -> None:
        super().__init__("Internal error encountered.")


class UnavailableError(ApiError):
    """Not now; the same request may work soon."""

    code, status, number = 503, "UNAVAILABLE", 14
