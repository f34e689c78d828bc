"""`http`: requests to any URL."""

import functools
import time
from typing import Any

from emulator.identity.token_sources import TokenRequest
from emulator.workflows import assumptions, limits
from emulator.workflows.errors import RaisedError, failure, type_error, value_error
from emulator.workflows.library.builtin import declare, expect
from emulator.workflows.runtime.execution import Frame
from emulator.workflows.runtime.http import Request, Response, encode_body, parse_url, with_query

USER_AGENT = "GoogleCloudWorkflows; (+https://cloud.google.com/workflows/docs)"
CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


async def send(
    frame: Frame,
    url: str,
    method: str,
    headers: dict[str, Any] | None = None,
    body: Any = None,
    query: dict[str, Any] | None = None,
    auth: dict[str, Any] | None = None,
    timeout: float | None = None,
    private_service_name: str | None = None,
    ca_certificate: Any = None,
) -> dict[str, Any]:
    """Send one request; returns `{code, headers, body}`, raises HttpError for a status of 400 or more."""
    verb = method.upper()
    if verb not in METHODS:
        raise value_error(f"http.request: unknown method '{method}', expecting one of {', '.join(METHODS)}")
    fields = _headers(headers or {})
    content = encode_body(body, fields)
    if auth is not None:
        fields["Authorization"] = f"Bearer {await _token(frame, auth, url)}"
    if private_service_name is not None:
        _check_private(private_service_name, url)
    if ca_certificate is not None and type(ca_certificate) is not bytes:
        raise value_error("http: argument 'ca_certificate' must be bytes")
    seconds = checked_timeout(timeout, assumptions.HTTP_DEFAULT_TIMEOUT_S)
    return await exchange(frame, Request(verb, with_query(url, query), fields, content, seconds, ca_certificate))


async def get(
    frame: Frame,
    url: str,
    headers: dict[str, Any] | None = None,
    query: dict[str, Any] | None = None,
    auth: dict[str, Any] | None = None,
    timeout: float | None = None,
    private_service_name: str | None = None,
    ca_certificate: Any = None,
) -> dict[str, Any]:
    """`send` with the arguments that http.get has: it takes no body."""
    return await send(frame, url, "GET", headers, None, query, auth, timeout, private_service_name, ca_certificate)


async def exchange(frame: Frame, request: Request) -> dict[str, Any]:
    """Send a request; returns and raises as `send` does."""
    response = await _observed(frame, request)
    answer = {"code": response.code, "headers": response.headers, "body": response.body}
    if response.code >= 400:
        error = failure("HttpError", "", **answer)
        error.value["message"] = f"HTTP server responded with error code {response.code}"
        raise error
    return answer


async def _observed(frame: Frame, request: Request) -> Response:
    observer, entry, began = frame.execution.observer, frame.entry, time.perf_counter()
    if observer is None or entry is None:
        return await frame.execution.runtime.http.send(request)
    try:
        response = await frame.execution.runtime.http.send(request)
    except RaisedError as error:
        observer.exchanged(entry, request, None, time.perf_counter() - began, str(error.value.get("message", "")))
        raise
    observer.exchanged(entry, request, response, time.perf_counter() - began, "")
    return response


def checked_timeout(timeout: Any, default: float, longest: float = limits.HTTP_TIMEOUT_S) -> float:
    """The seconds of a `timeout` argument, or the default for null."""
    if timeout is None:
        return default
    seconds: float = expect(float, timeout, "http", "timeout")
    if not 0 < seconds <= longest:
        raise value_error(f"timeout must be between 0 and {longest} seconds, got {timeout}")
    return seconds


def _headers(headers: dict[str, Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in headers.items():
        if type(value) is not str:
            raise type_error(f"http: header '{name}' must be a string")
        if not name or any(character in value + name for character in "\r\n\0"):
            raise value_error(f"http: header '{name}' is invalid")
        fields[name] = value
    key = next((name for name in fields if name.lower() == "user-agent"), None)
    agent = fields.pop(key) if key else ""
    fields["User-Agent"] = f"{agent} {USER_AGENT}".strip()
    return fields


async def _token(frame: Frame, auth: dict[str, Any], url: str) -> str:
    account = frame.execution.environment.service_account
    if auth.get("type") == "OIDC":
        audience = expect(str, auth.get("audience") or url.partition("?")[0], "http", "auth.audience")
        return await mint(frame, TokenRequest("OIDC", audience, (), account))
    if auth.get("type") == "OAuth2":
        scopes = _scopes(auth.get("scopes") or auth.get("scope") or CLOUD_SCOPE)
        return await mint(frame, TokenRequest("OAuth2", None, scopes, account))
    raise value_error("http: auth.type must be 'OIDC' or 'OAuth2'")


async def mint(frame: Frame, request: TokenRequest) -> str:
    """A token from the runtime's source; raises AuthError when there is none."""
    try:
        return await frame.execution.runtime.token_source(request)
    except Exception as error:
        raise failure("AuthError", f"cannot make credentials: {error}") from error


def _scopes(value: Any) -> tuple[str, ...]:
    if type(value) is str:
        return tuple(value.replace(",", " ").split())
    return tuple(expect(str, item, "http", "auth.scopes") for item in expect(list, value, "http", "auth.scopes"))


def _check_private(name: str, url: str) -> None:
    parts = name.split("/")
    if parts[::2] != ["projects", "locations", "namespaces", "services"] or len(parts) != 8 or not all(parts):
        raise value_error(f"http: private_service_name '{name}' is invalid")
    if parse_url(url).explicit_port is not None:
        raise value_error("http: with a private_service_name the URL must not contain a port")


FUNCTIONS = declare(
    "http",
    {
        "request": send,
        "get": get,
        **{method: functools.partial(send, method=method.upper()) for method in ("post", "put", "patch", "delete")},
    },
)
