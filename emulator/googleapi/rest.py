"""The REST front end of an API: routes for its methods, errors as Google's JSON body."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import count

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator import json_bodies
from emulator.disk import DiskError
from emulator.googleapi.errors import ApiError, InternalError, InvalidArgumentError, NotFoundError, unavailable
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import Method

logger = logging.getLogger(__name__)

HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_VARIABLE = re.compile(r"\{([\w.]+)=([^}]+)\}")


def routes(methods: Iterable[Method]) -> list[Route]:
    """The routes of the methods that REST has, custom verbs first, as `{id}` would match `id:verb` too."""
    return [
        _method_route(method) for method in sorted(methods, key=lambda method: ":" not in method.http) if method.http
    ]


def route(path: str, http_methods: Iterable[str], answer: Callable[[Request], Awaitable[Json]]) -> Route:
    """A route that responds with the JSON that `answer` returns or the error that it raises."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await answer(request))
        except ApiError as error:
            return JSONResponse(error.body(), error.code)
        except ClientDisconnect:
            raise
        except DiskError as error:
            refused = unavailable(error)
            return JSONResponse(refused.body(), refused.code)
        except Exception:
            logger.exception("request failed", extra={"method": request.method, "path": request.url.path})
            return JSONResponse(InternalError().body(), InternalError.code)

    return Route(path, endpoint, methods=list(http_methods))


def missing(path: str) -> Route:
    """A route that responds to every HTTP method with 404; put it after the routes of the methods."""

    async def answer(request: Request) -> Json:
        raise NotFoundError(f"The requested URL {request.url.path} was not found on this server.")

    return route(path, HTTP_METHODS, answer)


async def body(request: Request) -> Json:
    """The JSON object in the request's body; an empty body is an empty object.

    Raises:
        InvalidArgumentError: the body is not a JSON object.
    """
    content = await request.body()
    if not content.strip():
        return {}
    try:
        value = json_bodies.decode(content)
    except ValueError as error:
        raise InvalidArgumentError(f"Invalid JSON payload received. {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgumentError("Invalid JSON payload received. Expected an object.")
    return value


def _method_route(method: Method) -> Route:
    verb, template = method.http.split()[:2]
    path, names = _expanded(template)

    async def answer(request: Request) -> Json:
        fields: Json = {name: value for name, value in request.query_params.items() if method.takes(name)}
        if method.body == "*":
            fields |= await body(request)
        elif method.body:
            fields[method.body] = await body(request)
        return await method.call_json(
            fields, {field: name.format_map(request.path_params) for field, name in names.items()}
        )

    return route(path, [verb], answer)


def _expanded(template: str) -> tuple[str, Mapping[str, str]]:
    """A google.api.http path in Starlette's form, and the form of the resource name for each of its variables.

    `/v1/{name=projects/*}/topics` becomes `/v1/projects/{p0}/topics` and `{"name": "projects/{p0}"}`.
    """
    numbers, names = count(), dict[str, str]()

    def expand(variable: re.Match[str]) -> str:
        names[variable[1]] = re.sub(r"\*", lambda _: f"{{p{next(numbers)}}}", variable[2])
        return names[variable[1]]

    return _VARIABLE.sub(expand, template), names
