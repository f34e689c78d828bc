"""How a REST method answers: JSON in and out, refusals as Google's error body."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.googleapi.errors import ApiError, InternalError, InvalidArgumentError
from emulator.workflows_api.resources import Json

logger = logging.getLogger(__name__)

Method = Callable[[Request], Awaitable[Json]]
_PAGING = {"pageSize": "page_size", "pageToken": "page_token", "orderBy": "order_by"}


def route(path: str, http_methods: str, method: Method) -> Route:
    """A route that answers with what ``method`` returns or the error that it raises; ``http_methods`` are words."""

    async def answer(request: Request) -> Response:
        try:
            return JSONResponse(await method(request))
        except ApiError as error:
            return JSONResponse(error.body(), error.code)
        except ClientDisconnect:
            raise
        except Exception:
            logger.exception("request failed", extra={"method": request.method, "path": request.url.path})
            return JSONResponse(InternalError().body(), InternalError.code)

    return Route(path, answer, methods=http_methods.split())


async def body(request: Request) -> Json:
    """The request's JSON object; an empty body is an empty object.

    Raises:
        InvalidArgumentError: it is not JSON, or no object.
    """
    content = await request.body()
    if not content.strip():
        return {}
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"Invalid JSON payload received. {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgumentError("Invalid JSON payload received. Expected an object.")
    return value


def query(request: Request, *names: str) -> dict[str, str]:
    """The named query parameters that are given, by the names that our methods take."""
    params: Mapping[str, Any] = request.query_params
    found = {}
    for name in names:
        own = _PAGING.get(name, name)
        if (value := params.get(name, params.get(own))) is not None:
            found[own] = str(value)
    return found


def resource(request: Request, *kinds: str) -> str:
    """A resource name from the path: ``resource(request, "projects", "locations")``."""
    return "/".join(f"{kind}/{request.path_params[kind]}" for kind in kinds)
