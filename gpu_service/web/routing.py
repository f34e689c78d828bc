"""Finds the handler for a method and a path; a model's name in a path may contain slashes."""

import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from gpu_service.errors import MethodNotAllowed, RouteNotFound
from gpu_service.web.asgi import Request, Response

Handler = Callable[..., Awaitable[Response]]
Routes = Mapping[str, tuple[str, Handler]]  # method and handler by path
Match = tuple[str, Handler, tuple[str, ...]]  # path as it stands in the routes, handler, model name and version

VERSION = "/versions/"


class Router:
    """`routes` are found by their whole path; in `model_routes`, {name} stands for NAME or NAME/versions/VERSION."""

    def __init__(self, routes: Routes, model_routes: Routes) -> None:
        self.routes = routes
        self._model_routes = [
            (re.compile(re.escape(path).replace(r"\{name\}", "(.+)"), re.DOTALL), path, method, handler)
            for path, (method, handler) in sorted(model_routes.items(), key=lambda route: -len(route[0]))
        ]

    def find(self, request: Request) -> Match:
        """The route of a request, whose path may end in a slash.

        Model names are decoded after the path was taken apart, so that an encoded slash is part of a name.

        Raises:
            RouteNotFound, MethodNotAllowed
        """
        method = request.method
        path = request.raw_path.replace("%3A", ":").replace("%3a", ":")
        path = path if path in self.routes else path.rstrip("/")
        if path in self.routes:
            allowed, handler = self.routes[path]
            return path, _checked(handler, method, allowed), ()
        for pattern, template, allowed, handler in self._model_routes:
            if match := pattern.fullmatch(path):
                name, _, version = match[1].partition(VERSION)
                arguments = (unquote(name), unquote(version)) if version else (unquote(name),)
                return template, _checked(handler, method, allowed), arguments
        raise RouteNotFound("There is no such route; /openapi.json lists them.")


def _checked(handler: Handler, method: str, allowed: str) -> Handler:
    if method != allowed and not (allowed == "GET" and method == "HEAD"):
        raise MethodNotAllowed(allowed)
    return handler
