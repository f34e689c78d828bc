"""Responses for paths without a handler: unknown ones, and those of API parts that are not emulated."""

from starlette.requests import Request
from starlette.responses import Response

from emulator.storage.errors import NotFoundError, UnsupportedError

_NOT_EMULATED = {"acl", "defaultObjectAcl", "anywhereCaches", "folders", "channels", "relocate", "operations"}


async def not_found(_: Request) -> Response:
    raise NotFoundError("Not Found")


async def not_emulated(request: Request) -> Response:
    """For paths below a bucket: 501 if Cloud Storage serves them, else 404."""
    parts = set(request.path_params["rest"].split("/"))
    if parts & _NOT_EMULATED:
        raise UnsupportedError(f"This request is not emulated: {request.method} {request.url.path}")
    raise NotFoundError("Not Found")
