"""Errors of the store, each with the status and body of the service's response.

StorageError
├── InvalidError             400  a malformed request or a value that is not allowed
├── ForbiddenError           403  a hold, a retention policy or IAM forbids the request
├── AnonymousError           401  IAM forbids the request of a caller without identity
├── NotFoundError            404  the bucket, object, generation, upload or notification does not exist
├── ConflictError            409  the bucket exists already, or is not empty
├── LengthRequiredError      411  an upload without Content-Length
├── PreconditionError        412  an if…Match condition did not hold
├── NotModifiedError         304  an if…NotMatch condition of a read did not hold
├── TooLargeError            413  the body exceeds what is accepted
├── RangeError               416  the requested range lies outside the object
├── CancelledError           499  the upload session was cancelled
├── UnsupportedError         501  this part of the API is not emulated
├── BusyError                503  the system refuses to open or write a file
└── FullError                507  the disk is full; clients do not retry
"""

from typing import Any

from emulator.access import DeniedError


class StorageError(Exception):
    """A refused request: `status` is the HTTP status, `reason` the JSON API's code, `code` the XML API's."""

    status: int = 500
    reason: str = "backendError"
    code: str = "InternalError"
    location: tuple[str, str] | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def body(self) -> dict[str, Any]:
        """The JSON API's error document."""
        error: dict[str, Any] = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.location:
            error["locationType"], error["location"] = self.location
        return {"error": {"code": self.status, "message": self.message, "errors": [error]}}


class InvalidError(StorageError):
    status, reason, code = 400, "invalid", "InvalidArgument"

    def __init__(self, message: str, *, code: str = "InvalidArgument") -> None:
        super().__init__(message)
        self.code = code


class ParseError(InvalidError):
    reason = "parseError"


class ForbiddenError(StorageError):
    status, reason, code = 403, "forbidden", "AccessDenied"


class AccessDeniedError(ForbiddenError):
    """The caller lacks a permission; the XML API has the message as details."""


class RetentionError(ForbiddenError):
    reason, code = "retentionPolicyNotMet", "RetentionPolicyNotMet"


class AnonymousError(StorageError):
    status, reason, code = 401, "required", "AuthenticationRequired"


class NotFoundError(StorageError):
    status, reason, code = 404, "notFound", "NoSuchKey"


class BucketNotFoundError(NotFoundError):
    code = "NoSuchBucket"

    def __init__(self, bucket: str) -> None:
        super().__init__("The specified bucket does not exist.")
        self.bucket = bucket


class ObjectNotFoundError(NotFoundError):
    def __init__(self, bucket: str, name: str, generation: int | None = None) -> None:
        suffix = f"#{generation}" if generation is not None else ""
        super().__init__(f"No such object: {bucket}/{name}{suffix}")
        self.bucket, self.name, self.generation = bucket, name, generation


class ConflictError(StorageError):
    status, reason, code = 409, "conflict", "BucketAlreadyOwnedByYou"

    def __init__(self, message: str, *, code: str = "BucketAlreadyOwnedByYou") -> None:
        super().__init__(message)
        self.code = code


class LengthRequiredError(StorageError):
    status, reason, code = 411, "required", "MissingContentLength"

    def __init__(self) -> None:
        super().__init__("You must provide the Content-Length HTTP header.")


class PreconditionError(StorageError):
    status, reason, code = 412, "conditionNotMet", "PreconditionFailed"

    def __init__(self, header: str = "If-Match") -> None:
        super().__init__("At least one of the pre-conditions you specified did not hold.")
        self.location = ("header", header)


class NotModifiedError(StorageError):
    status, reason, code = 304, "notModified", "NotModified"

    def __init__(self, etag: str) -> None:
        super().__init__("Not modified.")
        self.etag = etag


class TooLargeError(StorageError):
    status, reason, code = 413, "uploadTooLarge", "EntityTooLarge"


class DroppedError(TooLargeError):
    """The disk had no space for an upload session."""


class RangeError(StorageError):
    status, reason, code = 416, "requestedRangeNotSatisfiable", "InvalidRange"

    def __init__(self, size: int) -> None:
        super().__init__("Request range not satisfiable")
        self.size = size


class CancelledError(StorageError):
    status, reason, code = 499, "clientClosedRequest", "Cancelled"


class BusyError(StorageError):
    status, reason, code = 503, "backendError", "ServiceUnavailable"


class FullError(StorageError):
    status, reason, code = 507, "insufficientStorage", "InsufficientStorage"


class UnsupportedError(StorageError):
    status, reason, code = 501, "notImplemented", "NotImplemented"


def denied(error: DeniedError) -> StorageError:
    """The refusal of a caller without a permission, in Cloud Storage's words."""
    kind = "object" if "/objects/" in error.resource else "bucket" if "/buckets/" in error.resource else "project"
    message = (
        f"{error.account or 'Anonymous caller'} does not have {error.permission} access to the Google Cloud Storage"
        f" {kind}. Permission '{error.permission}' denied on resource (or it may not exist)."
    )
    return AccessDeniedError(message) if error.account else AnonymousError(message)
