"""The methods of an API: declared where they are implemented, served by the REST and the gRPC front end alike."""

import inspect
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeVar

from emulator import access
from emulator.googleapi.errors import PermissionDeniedError, UnauthenticatedError
from emulator.googleapi.messages import Json, Message, as_json, read, write

OPEN = "open"
_UNDECLARED = "emulator.methods.call"  # which no role has
_VARIABLE = re.compile(r"\{([\w.]+)=")
_PROJECT = re.compile(r"projects/[^/]+")
_CAPITAL = re.compile(r"[A-Z]")

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Method:
    """One method of an API, over REST, gRPC or both.

    Args:
        function: answers a request.
        http: verb, path and body as google.api.http has them, `POST /v1/{topic=projects/*/topics/*}:publish *`: the
            body is the request field that the HTTP body holds, or `*` for the whole request; "" for gRPC alone.
        request: class of the RPC's request message, None for REST alone.
        name: the RPC's name where it is not that of the request message.
        needs: the permissions of the caller: `pubsub.topics.publish` on the resource in the path,
            `pubsub.topics.create@project` on its project, `pubsub.topics.attachSubscription@topic` on another field's.
            OPEN if the function itself checks the caller; "" if only the developer may call it.
    """

    function: Callable[..., Any]
    http: str = ""
    request: Any = None
    name: str = ""
    needs: str = ""

    @property
    def rpc(self) -> str:
        """The RPC's name, "" for a method that only REST has."""
        return self.name or (self.request.DESCRIPTOR.name.removesuffix("Request") if self.request else "")

    @cached_property
    def body(self) -> str:
        """The field that the HTTP body holds, `*` or ""."""
        return "".join(self.http.split()[2:])

    def takes(self, parameter: str) -> bool:
        """Whether the URL's query may hold this field of the request."""
        raise NotImplementedError

    async def call_json(self, fields: Json, names: Mapping[str, str]) -> Json:
        """Answer a REST request; `names` maps fields (`topic.name`) to the resource names in the path."""
        raise NotImplementedError

    async def call_message(self, message: Message) -> Message:
        """Answer an RPC."""
        raise NotImplementedError

    @cached_property
    def _resource_field(self) -> str:
        match = _VARIABLE.search(self.http)
        return match[1] if match else ""

    def authorize(self, field: Callable[[str], str]) -> None:
        """Check with `require` that the caller has the permissions that the method needs.

        Args:
            field: the value of a request field, given its path.
        """
        if self.needs == OPEN:
            return
        for need in self.needs.split() or [_UNDECLARED]:
            permission, _, place = need.partition("@")
            resource = field(self._resource_field if place in ("", "project") else place)
            if place == "project" and (project := _PROJECT.match(resource)):
                resource = project[0]
            require(permission, resource)


def require(permission: str, resource: str) -> None:
    """Check that the caller has a permission on a resource.

    Raises:
        UnauthenticatedError: the caller lacks it, and has no identity.
        PermissionDeniedError: the caller lacks it.
    """
    try:
        access.require(permission, resource)
    except access.DeniedError as error:
        raise (PermissionDeniedError(error) if error.account else UnauthenticatedError()) from error


class MessageMethod(Method):
    """The function takes the request message and returns the response message, or a coroutine of it."""

    def takes(self, parameter: str) -> bool:
        return any(
            parameter in (field.name, field.json_name) and field.type in (field.TYPE_STRING, field.TYPE_INT32)
            for field in self.request.DESCRIPTOR.fields
        )

    async def call_json(self, fields: Json, names: Mapping[str, str]) -> Json:
        message = read(self.request, fields)
        for path, name in names.items():
            *parents, field = path.split(".")
            setattr(reduce(getattr, parents, message), field, name)
        return as_json(await self.call_message(message))

    async def call_message(self, message: Message) -> Message:
        self.authorize(lambda path: str(operator.attrgetter(path)(message)))
        response = self.function(message)
        return await response if inspect.isawaitable(response) else response


@dataclass(frozen=True)
class JsonMethod(Method):
    """The function takes the request's fields as keyword arguments, messages as JSON, and returns JSON.

    Args:
        response: class of the RPC's response message.
        read_body: validates the HTTP body and brings it to the form that gRPC's messages have in JSON.
    """

    response: Any = None
    read_body: Callable[[Json], Json] = dict

    def takes(self, parameter: str) -> bool:
        return _snake(parameter) in self._parameters

    async def call_json(self, fields: Json, names: Mapping[str, str]) -> Json:
        if self.body == "*":
            fields = self.read_body(fields)
        elif self.body:
            fields[self.body] = self.read_body(fields[self.body])
        for path, name in names.items():
            *parents, field = path.split(".")
            reduce(dict.__getitem__, parents, fields)[field] = name
        return self._answer(fields)

    async def call_message(self, message: Message) -> Message:
        return write(self.response, self._answer(as_json(message)))

    def _answer(self, fields: Json) -> Json:
        arguments: Json = {name: {} if name == self.body else "" for name in self._required}
        arguments |= {_snake(name): value for name, value in fields.items() if self.takes(name)}
        self.authorize(
            lambda path: str(reduce(lambda value, key: value.get(key, {}), path.split("."), arguments) or "")
        )
        answer: Json = self.function(**arguments)
        return answer

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    @cached_property
    def _required(self) -> list[str]:
        return [name for name, parameter in self._parameters.items() if parameter.default is parameter.empty]


def message_method(http: str, request: Any, *, name: str = "", needs: str = "") -> Callable[[_F], _F]:
    """Declare a function as a MessageMethod."""
    return _declared(lambda function: MessageMethod(function, http, request, name, needs))


def json_method(
    http: str,
    request: Any = None,
    response: Any = None,
    *,
    read_body: Callable[[Json], Json] = dict,
    needs: str = "",
) -> Callable[[_F], _F]:
    """Declare a function as a JsonMethod."""
    return _declared(
        lambda function: JsonMethod(function, http, request, needs=needs, response=response, read_body=read_body)
    )


def methods(implementation: object) -> list[Method]:
    """The methods declared in an object's class, bound to the object."""
    declarations = {name: getattr(each, "_method", None) for name, each in vars(type(implementation)).items()}
    return [method(getattr(implementation, name)) for name, method in declarations.items() if method]


def _declared(method: Callable[[Callable[..., Any]], Method]) -> Callable[[_F], _F]:
    def declare(function: _F) -> _F:
        function.__dict__["_method"] = method
        return function

    return declare


def _snake(name: str) -> str:
    return _CAPITAL.sub(lambda match: "_" + match[0].lower(), name)
