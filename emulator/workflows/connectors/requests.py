"""Connectors: `googleapis.<service>.<version>.…`, one table entry each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from emulator.workflows import choices, limits
from emulator.workflows.connectors.table import Connector
from emulator.workflows.errors import RaisedError, failure, type_error
from emulator.workflows.library import expecting, requests, retrying
from emulator.workflows.runtime.auth import TokenRequest
from emulator.workflows.runtime.http import Request, encode_body, with_query
from emulator.workflows.values import decode_json, is_number

if TYPE_CHECKING:
    from emulator.workflows.runtime.scope import Frame

_VARIABLE = re.compile(r"\{(\+?)(\w+)\}")
_POLLING = {"initial_delay": 1.0, "multiplier": 1.25, "max_delay": 60.0}


def path_variables(connector: Connector) -> list[str]:
    return [match.group(2) for match in _VARIABLE.finditer(connector.path)]


async def call(frame: Frame, connector: Connector, arguments: dict[str, Any]) -> Any:
    """One connector call; a long-running operation is polled until it is done."""
    parameters = expecting.mapping(connector.name, "connector_params", arguments.get("connector_params") or {})
    skip = parameters.get("skip_polling") is True
    most = limits.OPERATION_TIMEOUT_S if connector.operation else limits.CONNECTOR_TIMEOUT_S
    timeout = requests.seconds(parameters.get("timeout"), limits.CONNECTOR_TIMEOUT_S, most)
    deadline = frame.execution.runtime.clock.now() + timeout
    body = await _send(frame, connector, connector.verb, _url(frame, connector, arguments), arguments, timeout)
    if connector.operation and not skip:
        return await _poll(frame, connector, body, parameters, arguments, deadline)
    return decode_json(body) if connector.decoded and type(body) is str else body


def base_url(frame: Frame, connector: Connector, arguments: dict[str, Any]) -> str:
    """Where a service is reached: the runtime's override, else Google."""
    override = frame.execution.runtime.endpoints.get(connector.service)
    if override is not None:
        return override.rstrip("/")
    region = arguments.get("location") or arguments.get("region")
    host = connector.host
    if connector.regional and type(region) is str:
        host = f"{region}-{host}"
    return f"https://{host}"


def _url(frame: Frame, connector: Connector, arguments: dict[str, Any]) -> str:
    values = arguments
    used = {*path_variables(connector), *connector.not_query, "body", "connector_params", "query"}

    def fill(match: re.Match[str]) -> str:
        name = match.group(2)
        if name not in values:
            raise type_error(f"{connector.name}: argument '{name}' is missing")
        text = expecting.string(connector.name, name, values[name])
        return quote(text, safe="/:%-._~@!$&'()*+,;=" if match.group(1) else "%-._~@!$&'()*+,;=:")

    path = _VARIABLE.sub(fill, connector.path)
    query = {name: value for name, value in values.items() if name not in used}
    query |= expecting.mapping(connector.name, "query", values.get("query") or {})
    query = dict(_flat("", query))
    return with_query(f"{base_url(frame, connector, arguments)}/{path}", query)


def _flat(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nested maps as dotted parameters: `{updateMask: {fieldPaths: …}}` is `updateMask.fieldPaths`."""
    for name, value in values.items():
        if type(value) is dict:
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value


async def _send(
    frame: Frame, connector: Connector, verb: str, url: str, arguments: dict[str, Any], timeout: float
) -> Any:
    """Send a request, again when the service says so; the response's body."""
    retry = 0
    while True:
        try:
            return await _exchange(frame, connector, verb, url, arguments, timeout)
        except RaisedError as error:
            predicate = retrying.idempotent if verb == "GET" else retrying.non_idempotent
            if retry >= choices.CONNECTOR_RETRIES or not predicate(error.value):
                raise
        backoff = retrying.DEFAULT_BACKOFF
        delay = min(backoff["max_delay"], backoff["initial_delay"] * backoff["multiplier"] ** retry)
        await frame.execution.runtime.clock.sleep(delay)
        retry += 1


async def _exchange(
    frame: Frame, connector: Connector, verb: str, url: str, arguments: dict[str, Any], timeout: float
) -> Any:
    parameters = arguments.get("connector_params") or {}
    headers = {"User-Agent": requests.USER_AGENT}
    scopes = parameters.get("scopes") or requests.CLOUD_SCOPE
    scopes = (scopes,) if type(scopes) is str else tuple(scopes)
    account = frame.execution.environment.service_account
    token = await requests.mint(frame, TokenRequest("OAuth2", None, scopes, account))
    headers["Authorization"] = f"Bearer {token}"
    body = None if verb == "GET" else _body(connector, arguments, headers)
    request = Request(verb, url, headers, body, min(timeout, limits.HTTP_TIMEOUT_S))
    response = await frame.execution.runtime.http.send(request)
    if response.code >= 400:
        raise requests.http_error({"code": response.code, "headers": response.headers, "body": response.body})
    return response.body


def _body(connector: Connector, arguments: dict[str, Any], headers: dict[str, str]) -> bytes | None:
    body = arguments.get("body")
    if connector.media and type(body) is str:
        headers["Content-Type"] = "text/plain; charset=utf-8"
        return body.encode()
    return encode_body(body, headers)


async def _poll(
    frame: Frame,
    connector: Connector,
    operation: Any,
    parameters: dict[str, Any],
    arguments: dict[str, Any],
    deadline: float,
) -> Any:
    """Wait for a long-running operation; its response."""
    policy = {**_POLLING, **(parameters.get("polling_policy") or {})}
    if not all(is_number(policy[name]) for name in _POLLING):
        raise type_error(f"{connector.name}: polling_policy takes numbers")
    clock, delay = frame.execution.runtime.clock, float(policy["initial_delay"])
    while True:
        if type(operation) is not dict or "name" not in operation:
            raise failure("ResponseTypeError", f"{connector.name} did not answer with an operation")
        if operation.get("done") is True:
            break
        if clock.now() + delay > deadline:
            raise failure("TimeoutError", f"{connector.name}: the operation did not end in time")
        await clock.sleep(delay)
        delay = min(float(policy["max_delay"]), delay * float(policy["multiplier"]))
        address = f"{base_url(frame, connector, arguments)}/{connector.version}/{operation['name']}"
        operation = await _send(frame, connector, "GET", address, arguments, limits.CONNECTOR_TIMEOUT_S)
    if operation.get("error"):
        failed = operation_error(str(operation["error"].get("message", "Operation failed.")), operation)
        failed.value["error"] = operation["error"]
        raise failed
    return operation.get("response")


def operation_error(message: str, operation: dict[str, Any]) -> RaisedError:
    """The error of a long-running operation that ended badly."""
    return RaisedError({"message": message, "operation": operation, "tags": ["OperationError"]})
