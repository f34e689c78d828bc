"""Responses of the JSON API, and error responses of both APIs."""

import json
import logging
from typing import Any
from xml.sax.saxutils import escape

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from emulator import disk
from emulator.access import DeniedError
from emulator.storage.api.partial_responses import select
from emulator.storage.errors import (
    AccessDeniedError,
    BusyError,
    CancelledError,
    FullError,
    NotModifiedError,
    RangeError,
    StorageError,
    denied,
)
from emulator.storage.resources import Fields

logger = logging.getLogger(__name__)

JSON = "application/json; charset=UTF-8"
XML = "application/xml; charset=UTF-8"
NO_STORE = "no-cache, no-store, max-age=0, must-revalidate"
_NO_SNIFF = {"x-content-type-options": "nosniff"}
# A browser shows a stored page without running it, and outside the origin of the APIs.
INERT = {**_NO_SNIFF, "content-security-policy": "sandbox; default-src 'none'"}


def answer(request: Request, resource: Fields, status: int = 200) -> Response:
    """A response with a JSON document, reduced to the request's `fields`."""
    fields = request.query_params.get("fields")
    headers = {"cache-control": NO_STORE, **_NO_SNIFF}
    if "etag" in resource:
        headers["etag"] = resource["etag"]
    content = select(resource, fields) if fields else resource
    return Response(_encoded(content), status, headers, JSON)


def empty(status: int = 204) -> Response:
    return Response(status_code=status)


async def on_storage_error(request: Request, error: Exception) -> Response:
    """An error response in the form of the API that was called."""
    if isinstance(error, DeniedError):
        error = denied(error)
    if not isinstance(error, StorageError):
        raise TypeError("not a StorageError") from error
    if request.scope.get("storage.xml"):
        return xml_error(error)
    if request.query_params.get("alt") == "media":
        # The service answers a failed download with the bare message.
        return Response(_body(error, error.message), error.status, error_headers(error), "text/html; charset=UTF-8")
    return Response(_body(error, _encoded(error.body())), error.status, error_headers(error), JSON)


async def on_http_error(request: Request, error: Exception) -> Response:
    """A path or method that the API does not have."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    refused = StorageError("Method Not Allowed" if status == 405 else "Not Found")
    refused.status, refused.reason = status, "methodNotAllowed" if status == 405 else "notFound"
    return await on_storage_error(request, refused)


async def on_crash(request: Request, error: Exception) -> Response:
    """A defect of the emulator: the log has the traceback, the response no details."""
    logger.error("request failed", exc_info=error, extra={"method": request.method, "path": request.url.path})
    return await on_storage_error(request, StorageError("We encountered an internal error. Please try again."))


async def on_disk_error(request: Request, error: Exception) -> Response:
    """The terminal says it once, and every response says it."""
    disk.report(str(error))
    kind = FullError if isinstance(error, disk.DiskFullError) else BusyError
    return await on_storage_error(request, kind(str(error)))


async def on_disconnect(_: Request, __: Exception) -> Response:
    """The client has gone and reads no response."""
    return Response(status_code=CancelledError.status)


def xml_error(error: StorageError) -> Response:
    message = f"<Message>{escape(error.message)}</Message>"
    if isinstance(error, AccessDeniedError):
        message = f"<Message>Access denied.</Message><Details>{escape(error.message)}</Details>"
    content = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{error.code}</Code>{message}</Error>"
    return Response(_body(error, content), error.status, error_headers(error), XML)


def error_headers(error: StorageError) -> dict[str, str]:
    headers = {"cache-control": NO_STORE, **INERT}
    if isinstance(error, RangeError):
        headers["content-range"] = f"bytes */{error.size}"
    if isinstance(error, NotModifiedError):
        headers["etag"] = error.etag
    return headers


def _body(error: StorageError, text: str | bytes) -> str | bytes:
    return "" if error.status == 304 else text


def _encoded(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
