"""Answers for APIs and methods of Google Cloud that the emulator does not have: 501 with a sentence, at once."""

import re

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.googleapi.errors import UnimplementedError
from emulator.googleapi.rest import HTTP_METHODS

PREFIX = "/-/"  # followed by the name of an absent API; no bucket can have this name
# gcloud repeats a request for half a minute after any 5xx.
_GCLOUD = re.compile(r"\bgcloud/")
_FOR_GCLOUD = 400


class _Version(Convertor[str]):
    """The first segment of a path of Google's APIs, such as v1 or v2beta1."""

    regex = r"v[1-9]\d?(?:(?:alpha|beta|p\dbeta)\d*)?"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("api_version", _Version())


def routes() -> list[Route]:
    """The routes, which come after those of all methods that exist, and before Cloud Storage's, which take any path."""
    paths = [PREFIX + "{api}/{rest:path}", "/apis/{rest:path}", "/{version:api_version}/{rest:path}"]
    return [Route(path, _answer, methods=list(HTTP_METHODS)) for path in paths]


async def _answer(request: Request) -> Response:
    api = request.path_params.get("api")
    what = f"the API {api}" if api else f"{request.method} {request.url.path}"
    error = UnimplementedError(
        f"The emulator does not have {what}; nothing was sent to Google Cloud. docs/emulator.md lists what it has."
    )
    in_gcloud = _GCLOUD.search(request.headers.get("user-agent", ""))
    return JSONResponse(error.body(), _FOR_GCLOUD if in_gcloud else error.code)
