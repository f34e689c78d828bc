"""Connectors: `googleapis.<service>.<version>.…`, one table entry each."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from . import choices, limits
from .auth import TokenRequest
from .connector_table import CONNECTORS, QUERY, SERVICES, Connector
from .errors import RaisedError, failure, type_error, value_error
from .http import Request, encode_body, with_query
from .stdlib import expecting, requests, retrying
from .stdlib.encoding import base64_decode
from .values import decode_json, encode_json, is_number

if TYPE_CHECKING:
    from .scope import Frame, Scope

_VARIABLE = re.compile(r"\{(\+?)(\w+)\}")
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
_POLLING = {"initial_delay": 1.0, "multiplier": 1.25, "max_delay": 60.0}
Perform = Callable[["Scope", dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments that a connector takes, and those that it cannot do without."""

    arguments: frozenset[str]
    required: list[str]


def find(name: str) -> Signature | None:
    """The arguments of an emulated connector."""
    if name in HELPERS:
        arguments, required = HELPERS[name].arguments.split(), HELPERS[name].required.split()
        return Signature(frozenset({*arguments, *required, "connector_params"}), required)
    connector = CONNECTORS.get(name)
    if connector is None:
        return None
    required = _path_variables(connector)
    optional = {"body", "connector_params", *QUERY["any"], *QUERY.get(connector.service, ())}
    return Signature(frozenset({*required, *optional, *connector.not_query}), required)


def may_exist(name: str) -> bool:
    """Whether Google has connectors for the service, though this one is not emulated."""
    parts = name.split(".")
    return len(parts) >= 4 and parts[1] in SERVICES


def _path_variables(connector: Connector) -> list[str]:
    return [match.group(2) for match in _VARIABLE.finditer(connector.path)]


def performer(name: str) -> Perform:
    """What a `call` step of a connector does."""
    connector = CONNECTORS.get(name)
    helper = HELPERS.get(name)

    async def perform(scope: Scope, arguments: dict[str, Any]) -> Any:
        if helper is not None:
            return await helper.call(scope.frame, arguments)
        if connector is None:
            raise failure("SystemError", f"connector '{name}' is not emulated")
        return await call(scope.frame, connector, arguments)

    return perform


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
    used = set(_path_variables(connector)) | {"body", "connector_params"} | set(connector.not_query)

    def fill(match: re.Match[str]) -> str:
        name = match.group(2)
        if name not in values:
            raise type_error(f"{connector.name}: argument '{name}' is missing")
        text = expecting.string(connector.name, name, values[name])
        return quote(text, safe="/:%-._~@!$&'()*+,;=" if match.group(1) else "%-._~@!$&'()*+,;=:")

    path = _VARIABLE.sub(fill, connector.path)
    query = {name: value for name, value in values.items() if name not in used}
    return with_query(f"{base_url(frame, connector, arguments)}/{path}", query)


async def _send(
    frame: Frame, connector: Connector, verb: str, url: str, arguments: dict[str, Any], timeout: float
) -> Any:
    """Send a request, again when the service says so; the response's body."""
    retry = 0
    while True:
        try:
            return await _exchange(frame, connector, verb, url, arguments, timeout)
        except RaisedError as error:
            predicate = retrying.idempotent if verb in _IDEMPOTENT else retrying.non_idempotent
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
        raise operation_error(str(operation["error"].get("message", "Operation failed.")), operation)
    return operation.get("response")


def operation_error(message: str, operation: dict[str, Any]) -> RaisedError:
    """The error of a long-running operation that ended badly."""
    return RaisedError({"message": message, "operation": operation, "tags": ["OperationError"]})


# --- helpers that are more than one request -----------------------------------------------------------


async def run_execution(frame: Frame, arguments: dict[str, Any]) -> Any:
    """Start an execution of another workflow and wait for its result."""
    environment = frame.execution.environment
    name = expecting.string("executions.run", "workflow_id", arguments.get("workflow_id"))
    project = arguments.get("project_id") or environment.project_id
    location = arguments.get("location") or environment.location
    parent = f"projects/{project}/locations/{location}/workflows/{name}"
    body: dict[str, Any] = {"argument": encode_json(arguments.get("argument"))} if "argument" in arguments else {}
    shared = {"connector_params": arguments.get("connector_params") or {}}
    timeout = requests.seconds(
        shared["connector_params"].get("timeout"), limits.CONNECTOR_TIMEOUT_S, limits.OPERATION_TIMEOUT_S
    )
    clock = frame.execution.runtime.clock
    deadline = clock.now() + timeout
    create = CONNECTORS[f"{_EXECUTIONS}.create"]
    execution = await call(frame, create, {"parent": parent, "body": body, **shared})
    return await _finished(frame, execution, shared, deadline)


async def _finished(frame: Frame, execution: Any, shared: dict[str, Any], deadline: float) -> Any:
    clock, delay = frame.execution.runtime.clock, choices.CHILD_POLL_S
    while execution.get("state") in ("ACTIVE", "QUEUED"):
        if clock.now() >= deadline:
            raise failure("TimeoutError", "the child execution did not end in time")
        await clock.sleep(delay)
        delay = min(delay * 1.25, 60.0)
        execution = await call(frame, CONNECTORS[f"{_EXECUTIONS}.get"], {"name": execution["name"], **shared})
    if execution.get("state") != "SUCCEEDED":
        raise operation_error("Execution failed or cancelled.", execution)
    return decode_json(execution.get("result") or "null")


async def read_secret(frame: Frame, arguments: dict[str, Any]) -> Any:
    """The payload of a secret's version, as text."""
    version = await call(frame, CONNECTORS[f"{_SECRETS}.access"], _secret_name(frame, arguments))
    payload = _secret_bytes(version)
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise value_error("the secret is no UTF-8 text") from None


def _secret_bytes(version: Any) -> bytes:
    return base64_decode(version["payload"]["data"])


def _secret_name(frame: Frame, arguments: dict[str, Any]) -> dict[str, Any]:
    if "name" in arguments:
        return arguments
    secret = expecting.string("secretmanager", "secret_id", arguments.get("secret_id"))
    project = arguments.get("project_id") or frame.execution.environment.project_id
    version = arguments.get("version") or "latest"
    name = f"projects/{project}/secrets/{secret}/versions/{version}"
    return {"name": name, "connector_params": arguments.get("connector_params") or {}}


_EXECUTIONS = "googleapis.workflowexecutions.v1.projects.locations.workflows.executions"
_SECRETS = "googleapis.secretmanager.v1.projects.secrets.versions"


@dataclass(frozen=True, slots=True)
class Helper:
    """A connector that is more than one request."""

    call: Callable[[Frame, dict[str, Any]], Awaitable[Any]]
    required: str
    arguments: str


HELPERS: dict[str, Helper] = {
    f"{_EXECUTIONS}.run": Helper(run_execution, "workflow_id", "location project_id argument"),
    f"{_SECRETS}.accessString": Helper(read_secret, "", "name secret_id project_id version"),
}
