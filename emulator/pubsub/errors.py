"""Refusals of the Pub/Sub API, with Google's status and HTTP code.

PubSubError
├── InvalidArgumentError      400
├── FailedPreconditionError   400
├── NotFoundError             404
├── AlreadyExistsError        409
└── AbortedError              409
"""

import grpc


class PubSubError(Exception):
    code = 500
    status = grpc.StatusCode.INTERNAL

    @property
    def body(self) -> dict[str, object]:
        """Google's JSON error body."""
        return {"error": {"code": self.code, "message": str(self), "status": self.status.name}}


class InvalidArgumentError(PubSubError):
    code, status = 400, grpc.StatusCode.INVALID_ARGUMENT


class FailedPreconditionError(PubSubError):
    code, status = 400, grpc.StatusCode.FAILED_PRECONDITION


class NotFoundError(PubSubError):
    code, status = 404, grpc.StatusCode.NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")


class AlreadyExistsError(PubSubError):
    code, status = 409, grpc.StatusCode.ALREADY_EXISTS

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource already exists in the project (resource={name.rsplit('/', 1)[-1]}).")


class AbortedError(PubSubError):
    code, status = 409, grpc.StatusCode.ABORTED
