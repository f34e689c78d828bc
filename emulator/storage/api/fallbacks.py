"""Paths that lead nowhere: those of no API, and those of parts of the API that are not emulated."""

from starlette.requests import Request
from starlette.responses import Response

from emulator.storage.errors import NotFoundError, UnsupportedError

_KNOWN = {"acl", "defaultObjectAcl", "anywhereCaches", "folders", "channels", "relocate", "operations"}


async def not_found(_: Request) -> Response:
    raise NotFoundError("Not Found")


async def not_emulated(request: Request) -> Response:
    """Under a bucket: 501 for what Cloud Storage has and this store has not, 404 for anything else."""
    parts = set(request.path_params["rest"].split("/"))
    if parts & _KNOWN:
        raise UnsupportedError(f"This request is not emulated: {request.method} {request.url.path}")
    raise NotFoundError("Not Found")
