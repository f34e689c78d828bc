"""Calls an API method: request, retries, and polling of long-running operations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from emulator.identity.token_sources import TokenRequest
from emulator.workflows import assumptions, limits
from emulator.workflows.connectors.methods import Method
from emulator.workflows.errors import RaisedError, failure, type_error
from emulator.workflows.library import http, retry
from emulator.workflows.library.builtin import expect
from emulator.workflows.runtime.execution import Frame
from emulator.workflows.runtime.http import Request, encode_body, with_query
from emulator.workflows.values import is_number

_VARIABLE = re.compile(r"\{(\+?)(\w+)\}")
_POLLING = {"initial_delay": 1.0, "multiplier": 1.25, "max_delay": 60.0}


def path_variables(method: Method) -> tuple[str, ...]:
    return tuple(match.group(2) for match in _VARIABLE.finditer(method.path))


async def call(frame: Frame, method: Method, arguments: dict[str, Any]) -> Any:
    """Call a method; the response's body, or the response of the operation when it is done."""
    parameters = expect(dict, arguments.get("connector_params") or {}, method.name, "connector_params")
    longest = limits.OPERATION_TIMEOUT_S if method.operation else limits.CONNECTOR_TIMEOUT_S
    timeout = http.checked_timeout(parameters.get("timeout"), limits.CONNECTOR_TIMEOUT_S, longest)
    return await _Call(frame, method, arguments, parameters, timeout).result()


def operation_error(message: str, operation: dict[str, Any], **details: Any) -> RaisedError:
    """The error of a long-running operation that failed."""
    return RaisedError({"message": message, "operation": operation, "tags": ["OperationError"], **details})


@dataclass(frozen=True, slots=True)
class _Call:
    frame: Frame
    method: Method
    arguments: dict[str, Any]
    parameters: dict[str, Any]
    timeout: float

    async def result(self) -> Any:
        deadline = self.frame.execution.runtime.clock.now() + self.timeout
        body = await self._send(self.method.verb, self._url(), self.timeout)
        if self.method.operation and self.parameters.get("skip_polling") is not True:
            return await self._poll(body, deadline)
        return body

    def _base_url(self) -> str:
        """The runtime's endpoint for the service, else Google's."""
        override = self.frame.execution.runtime.endpoints.get(self.method.service)
        if override is not None:
            return override.rstrip("/")
        region = self.arguments.get("location") or self.arguments.get("region")
        prefix = f"{region}-" if self.method.regional and type(region) is str else ""
        return f"https://{prefix}{self.method.host}"

    def _url(self) -> str:
        name, not_query = self.method.name, {*path_variables(self.method), *self.method.not_query}
        not_query |= {"body", "connector_params", "query"}
        query = {key: value for key, value in self.arguments.items() if key not in not_query}
        query |= expect(dict, self.arguments.get("query") or {}, name, "query")
        path = _VARIABLE.sub(self._path_value, self.method.path)
        return with_query(f"{self._base_url()}/{path}", dict(_flat("", query)))

    def _path_value(self, variable: re.Match[str]) -> str:
        plus, name = variable.groups()
        if name not in self.arguments:
            raise type_error(f"{self.method.name}: argument '{name}' is missing")
        text = expect(str, self.arguments[name], self.method.name, name)
        return quote(text, safe="/:%-._~@!$&'()*+,;=" if plus else "%-._~@!$&'()*+,;=:")

    async def _send(self, verb: str, url: str, timeout: float) -> Any:
        """Send a request, and again while the library's retry predicate says so; the response's body."""
        predicate = retry.idempotent if verb == "GET" else retry.non_idempotent
        backoff = retry.DEFAULT_BACKOFF
        retries = 0
        while True:
            try:
                return await self._exchange(verb, url, timeout)
            except RaisedError as error:
                if retries >= assumptions.CONNECTOR_RETRIES or not predicate(error.value):
                    raise
            delay = min(backoff["max_delay"], backoff["initial_delay"] * backoff["multiplier"] ** retries)
            await self.frame.execution.runtime.clock.sleep(delay)
            retries += 1

    async def _exchange(self, verb: str, url: str, timeout: float) -> Any:
        scopes = self.parameters.get("scopes") or http.CLOUD_SCOPE
        scopes = (scopes,) if type(scopes) is str else tuple(scopes)
        account = self.frame.execution.environment.service_account
        token = await http.mint(self.frame, TokenRequest("OAuth2", None, scopes, account))
        headers = {"User-Agent": http.USER_AGENT, "Authorization": f"Bearer {token}"}
        body = None if verb == "GET" else self._body(headers)
        request = Request(verb, url, headers, body, min(timeout, limits.HTTP_TIMEOUT_S))
        return (await http.exchange(self.frame, request))["body"]

    def _body(self, headers: dict[str, str]) -> bytes | None:
        body = self.arguments.get("body")
        if self.method.media and type(body) is str:
            headers["Content-Type"] = "text/plain; charset=utf-8"
            return body.encode()
        return encode_body(body, headers)

    async def _poll(self, operation: Any, deadline: float) -> Any:
        """Wait for a long-running operation; its response."""
        name = self.method.name
        policy = {**_POLLING, **(self.parameters.get("polling_policy") or {})}
        if not all(is_number(policy[key]) for key in _POLLING):
            raise type_error(f"{name}: polling_policy takes numbers")
        clock, delay = self.frame.execution.runtime.clock, float(policy["initial_delay"])
        while True:
            if type(operation) is not dict or "name" not in operation:
                raise failure("ResponseTypeError", f"{name} did not answer with an operation")
            if operation.get("done") is True:
                break
            if clock.now() + delay > deadline:
                raise failure("TimeoutError", f"{name}: the operation did not end in time")
            await clock.sleep(delay)
            delay = min(float(policy["max_delay"]), delay * float(policy["multiplier"]))
            url = f"{self._base_url()}/{self.method.version}/{operation['name']}"
            operation = await self._send("GET", url, limits.CONNECTOR_TIMEOUT_S)
        error = operation.get("error")
        if error:
            raise operation_error(str(error.get("message", "Operation failed.")), operation, error=error)
        return operation.get("response")


def _flat(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nested maps as dotted parameters: `{updateMask: {fieldPaths: …}}` is `updateMask.fieldPaths`."""
    for name, value in values.items():
        if type(value) is dict:
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value
