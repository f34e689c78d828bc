"""`http`: calls to any URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.workflows import choices, limits
from emulator.workflows.errors import failure, type_error, value_error
from emulator.workflows.library import expecting
from emulator.workflows.library.table import BLOCKING, LibraryFunction, declare
from emulator.workflows.runtime.auth import TokenRequest
from emulator.workflows.runtime.http import Request, encode_body, parse_url, with_query

if TYPE_CHECKING:
    from emulator.workflows.runtime.scope import Frame

USER_AGENT = "GoogleCloudWorkflows; (+https://cloud.google.com/workflows/docs)"
CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_METHODS = ("get", "post", "put", "patch", "delete")
_OPTIONAL = "headers? body? query? auth? timeout? private_service_name? ca_certificate?"


async def send(
    frame: Frame,
    url: Any,
    method: Any,
    headers: Any = None,
    body: Any = None,
    query: Any = None,
    auth: Any = None,
    timeout: Any = None,
    private_service_name: Any = None,
    ca_certificate: Any = None,
) -> dict[str, Any]:
    """One request; `{code, headers, body}`, or HttpError for a status of 400 and more."""
    address = expecting.string("http", "url", url)
    verb = expecting.string("http.request", "method", method).upper()
    if verb not in METHODS:
        raise value_error(f"http.request: unknown method '{method}', expecting one of {', '.join(METHODS)}")
    fields = _headers(headers)
    content = encode_body(body, fields)
    if auth is not None:
        fields["Authorization"] = f"Bearer {await _token(frame, auth, address)}"
    _check_private(private_service_name, address)
    if ca_certificate is not None and type(ca_certificate) is not bytes:
        raise value_error("http: argument 'ca_certificate' must be bytes")
    request = Request(
        method=verb,
        url=with_query(address, None if query is None else expecting.mapping("http", "query", query)),
        headers=fields,
        body=content,
        timeout=seconds(timeout, choices.HTTP_DEFAULT_TIMEOUT_S),
        ca_certificate=ca_certificate,
    )
    response = await frame.execution.runtime.http.send(request)
    answer = {"code": response.code, "headers": response.headers, "body": response.body}
    if response.code >= 400:
        raise http_error(answer)
    return answer


def http_error(answer: dict[str, Any]) -> Exception:
    """The error map of a response with a status of 400 and more."""
    error = failure("HttpError", "", **answer)
    error.value["message"] = f"HTTP server responded with error code {answer['code']}"
    return error


def seconds(timeout: Any, default: float, most: float = limits.HTTP_TIMEOUT_S) -> float:
    """A `timeout` argument."""
    if timeout is None:
        return default
    value = expecting.number("http", "timeout", timeout)
    if not 0 < value <= most:
        raise value_error(f"timeout must be between 0 and {most} seconds, got {timeout}")
    return value


def _headers(headers: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in (expecting.mapping("http", "headers", headers) if headers is not None else {}).items():
        if type(value) is not str:
            raise type_error(f"http: header '{name}' must be a string")
        if not name or any(character in value + name for character in "\r\n\0"):
            raise value_error(f"http: header '{name}' is invalid")
        fields[name] = value
    given = next((name for name in fields if name.lower() == "user-agent"), None)
    agent = fields.pop(given) if given else ""
    fields["User-Agent"] = f"{agent} {USER_AGENT}".strip()
    return fields


async def _token(frame: Frame, auth: Any, url: str) -> str:
    details = expecting.mapping("http", "auth", auth)
    kind = details.get("type")
    if kind not in ("OIDC", "OAuth2"):
        raise value_error("http: auth.type must be 'OIDC' or 'OAuth2'")
    audience = details.get("audience") or url.partition("?")[0]
    expecting.string("http", "auth.audience", audience)
    execution = frame.execution
    account = execution.environment.service_account
    scopes = _scopes(details.get("scopes") or details.get("scope"))
    token = (
        TokenRequest("OIDC", audience, (), account) if kind == "OIDC" else TokenRequest("OAuth2", None, scopes, account)
    )
    return await mint(frame, token)


async def mint(frame: Frame, request: TokenRequest) -> str:
    """A token from the runtime's source, or AuthError."""
    try:
        return await frame.execution.runtime.token_source(request)
    except Exception as error:
        raise failure("AuthError", f"cannot make credentials: {error}") from error


def _scopes(value: Any) -> tuple[str, ...]:
    if value is None:
        return (CLOUD_SCOPE,)
    if type(value) is str:
        return tuple(value.replace(",", " ").split())
    return tuple(expecting.string("http", "auth.scopes", item) for item in expecting.sequence("http", "scopes", value))


def _check_private(name: Any, url: str) -> None:
    if name is None:
        return
    parts = expecting.string("http", "private_service_name", name).split("/")
    if parts[::2] != ["projects", "locations", "namespaces", "services"] or len(parts) != 8 or not all(parts):
        raise value_error(f"http: private_service_name '{name}' is invalid")
    if parse_url(url).explicit_port is not None:
        raise value_error("http: with a private_service_name the URL must not contain a port")


def _fixed(method: str) -> Any:
    async def call(frame: Frame, url: Any, **arguments: Any) -> dict[str, Any]:
        return await send(frame, url, method, **arguments)

    return call


FUNCTIONS: list[LibraryFunction] = declare(
    "http",
    {
        "request": (f"url method {_OPTIONAL}", send),
        **{method: (f"url {_OPTIONAL}", _fixed(method.upper())) for method in _METHODS},
    },
    BLOCKING,
)
