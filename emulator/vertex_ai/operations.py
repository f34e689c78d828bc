"""Long-running operations: how they are made, finished, read and awaited."""

import asyncio
import secrets
from collections.abc import Callable

from starlette.requests import Request
from starlette.routing import Route

from emulator.googleapi import paging, rest
from emulator.googleapi.errors import ApiError, InvalidArgumentError, NotFoundError
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import JsonMethod, require
from emulator.googleapi.timestamps import NANOS, parse_duration, rfc3339
from emulator.vertex_ai.store import Store

TYPE = "type.googleapis.com/google.cloud.aiplatform.v1."
EMPTY = "type.googleapis.com/google.protobuf.Empty"
# gcloud polls operations of v1beta1, Google's Python client those of `ui`.
_VERSIONS = ("v1", "v1beta1", "ui")
_PARENTS = ("projects/*/locations/*/models/*", "projects/*/locations/*/endpoints/*")
_LONGEST_WAIT_S = 300.0
_DEFAULT_WAIT_S = 10.0


def new_id() -> str:
    """A number as Vertex AI gives it to its resources."""
    return str(secrets.randbelow(9 * 10**18) + 10**18)


class Operations:
    """The operations of models and endpoints.

    Args:
        now: nanoseconds since 1970.
    """

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store, self._now = store, now
        self._finished: dict[str, asyncio.Event] = {}

    def done(self, parent: str, kind: str, response: Json) -> Json:
        """Write an operation that has ended; `kind` is the type of its metadata, without `OperationMetadata`."""
        operation = {**self._new(parent, kind), "done": True, "response": response}
        self._store.write_operation(operation)
        return operation

    def begin(self, parent: str, kind: str, request: Json) -> Json:
        """Write an operation that goes on; `request` continues it after a restart."""
        operation = self._new(parent, kind)
        self._store.write_operation(operation, request)
        return operation

    def succeed(self, operation: Json, response: Json) -> None:
        self._finish({**operation, "done": True, "response": response})

    def fail(self, operation: Json, error: ApiError) -> None:
        self._finish({**operation, "done": True, "error": error.rpc_status()})

    def _new(self, parent: str, kind: str) -> Json:
        time = rfc3339(self._now())
        generic = {"createTime": time, "updateTime": time}
        metadata = {"@type": f"{TYPE}{kind}OperationMetadata", "genericMetadata": generic}
        return {"name": f"{parent}/operations/{new_id()}", "metadata": metadata}

    def _finish(self, operation: Json) -> None:
        operation["metadata"]["genericMetadata"]["updateTime"] = rfc3339(self._now())
        self._store.write_operation(operation)
        if event := self._finished.pop(operation["name"], None):
            event.set()

    def routes(self) -> list[Route]:
        """The REST routes, under each version that a client polls."""
        methods = [
            JsonMethod(function, f"GET /{version}/{{name={parent}{path}}}{end}", needs=f"aiplatform.{kind}.get")
            for version in _VERSIONS
            for parent in _PARENTS
            for kind in (parent.split("/")[-2],)
            for function, path, end in ((self.get, "/operations/*", ""), (self.page, "", "/operations"))
        ]
        resource = "projects/{project}/locations/{location}"
        waits = [
            rest.route(f"/{version}/{resource}/{kind}/{{id}}/operations/{{operation}}:wait", ["POST"], self._wait)
            for version in _VERSIONS
            for kind in ("models", "endpoints")
        ]  # fmt: skip
        return [*waits, *rest.routes(methods)]

    def get(self, name: str) -> Json:
        """An operation.

        Raises:
            NotFoundError
        """
        operation = self._store.operation(name)
        if operation is None:
            raise NotFoundError(f"The operation {name} does not exist.")
        return operation

    def page(self, name: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of the operations of a model or an endpoint, newest first."""
        size = paging.page_size(page_size, default=100, largest=1000)
        return paging.listing("operations", *paging.page(self._store.operations(name), size, page_token, name))

    async def _wait(self, request: Request) -> Json:
        _, name = request.url.path.removesuffix(":wait").lstrip("/").split("/", 1)
        require(f"aiplatform.{name.split('/')[-4]}.get", name.partition("/operations/")[0])
        timeout = request.query_params.get("timeout") or (await rest.body(request)).get("timeout")
        try:
            seconds = parse_duration(timeout) / NANOS if timeout else _DEFAULT_WAIT_S
        except (ValueError, TypeError) as error:
            raise InvalidArgumentError(f"timeout: {error}", field="timeout") from error
        if not self.get(name).get("done"):
            event = self._finished.setdefault(name, asyncio.Event())
            try:
                async with asyncio.timeout(min(seconds, _LONGEST_WAIT_S)):
                    await event.wait()
            except TimeoutError:
                pass
        return self.get(name)
