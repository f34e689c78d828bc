"""The shared HTTP client: bodies, responses and connection errors as in the service."""

import asyncio
import resource
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from emulator import debugging
from emulator.workflows import assumptions, limits
from emulator.workflows.errors import RaisedError, failure, limit_error, type_error, value_error
from emulator.workflows.values import decode_json, encode_json, shown_type, to_text

KEEP_ALIVE_S = 1.0
_URL_SAFE = ":/?#[]@!$&'()*+,;=%-._~"
_FORM_SAFE = "=&+%-._~*!'()/:;,?@$"


@dataclass(frozen=True, slots=True)
class Request:
    """A request; its `timeout` in seconds covers everything up to the last byte of the response."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    timeout: float
    ca_certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A response; its `body` is decoded by the content type from `content`."""

    code: int
    headers: dict[str, Any]
    body: Any
    content: bytes


class HttpClient:
    """One aiohttp session for all executions of one event loop, opened with the first request.

    Args:
        connections: how many may be open; further requests wait. The default leaves most of the process's file
            descriptors to others.
    """

    def __init__(self, connections: int | None = None) -> None:
        self.connections = connections or _connections()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Response:
        """Send a request and read the whole response, whatever its status.

        Raises:
            RaisedError: ValueError, ConnectionFailedError, ConnectionError or TimeoutError.
            LimitError: the response is larger than the service accepts.
        """
        url = parse_url(request.url)
        try:
            async with asyncio.timeout(debugging.deadline(request.url, request.timeout)):
                return await self._exchange(request, url)
        except TimeoutError:
            raise timed_out() from None
        except aiohttp.InvalidURL:
            raise value_error(f"invalid URL '{request.url}'") from None
        except aiohttp.ClientConnectorError as error:
            raise failure("ConnectionFailedError", f"connection failed: {error}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise failure("ConnectionError", f"connection broken: {error or type(error).__name__}") from None
        except ValueError as error:
            raise value_error(f"invalid request: {error}") from None

    async def _exchange(self, request: Request, url: URL) -> Response:
        async with self._open().request(
            request.method,
            url,
            data=request.body,
            headers=request.headers,
            max_redirects=assumptions.HTTP_REDIRECTS,
            ssl=_trust(request.ca_certificate),
            skip_auto_headers=("Content-Type",),
        ) as response:
            content = await _content(response)
            return Response(response.status, _headers(response), _decoded(response, content), content)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=self.connections, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=300)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def timed_out() -> RaisedError:
    """The error of a request that took too long; as in the service, its message has no tag in front."""
    error = failure("TimeoutError", "")
    error.value["message"] = "request timed out"
    return error


def _connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1000 if soft == resource.RLIM_INFINITY else max(16, min(1000, soft // 4))


def _trust(certificate: bytes | None) -> ssl.SSLContext | bool:
    if certificate is None:
        return True
    try:
        return ssl.create_default_context(cadata=certificate.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise value_error(f"invalid ca_certificate: {error}") from None


def parse_url(text: str) -> URL:
    """The URL as the workflow has it; only characters that are invalid in a URL are escaped."""
    try:
        url = URL(quote(text.strip(), safe=_URL_SAFE), encoded=True)
        host, scheme = url.host, url.scheme
    except ValueError:
        host, scheme = None, ""
    if scheme not in ("http", "https") or not host:
        raise value_error(f"invalid URL '{text}'")
    return url


def with_query(url: str, query: dict[str, Any] | None) -> str:
    """The URL with query parameters added; a list repeats its parameter."""
    if not query:
        return url
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None:
            continue
        for item in value if type(value) is list else [value]:
            if type(item) not in (str, int, float, bool):
                raise type_error(f"http: query '{name}' must be a string, number, boolean or a list of those")
            pairs.append((name, to_text(item)))
    address, mark, fragment = url.partition("#")
    joint = "&" if "?" in address else "?"
    return address + joint + urlencode(pairs, quote_via=quote, safe="") + mark + fragment


def encode_body(body: Any, headers: dict[str, str]) -> bytes | None:
    """The bytes of a body, encoded by its Content-Type; a missing one is added to `headers`."""
    if body is None:
        return None
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    if content_type is None:
        binary = type(body) is bytes
        headers["Content-Type"] = "application/octet-stream" if binary else "application/json; charset=utf-8"
        return body if binary else encode_json(body).encode()
    if type(body) is bytes:
        return bytes(body)
    media_type = content_type.partition(";")[0].strip().lower()
    if is_json(media_type):
        if type(body) not in (dict, list):
            raise type_error(f"http: a body of type '{media_type}' must be a map, got {shown_type(body)}")
        return encode_json(body).encode()
    if media_type == "application/x-www-form-urlencoded":
        return _form(body)
    if not media_type.startswith("text/"):
        raise value_error(f"http: a body of type '{media_type}' must be bytes")
    if type(body) is not str:
        raise type_error(f"http: a body of type '{media_type}' must be a string, got {shown_type(body)}")
    return body.encode()


def _form(body: Any) -> bytes:
    if type(body) is dict:
        return with_query("", body)[1:].encode()
    if type(body) is not str:
        raise type_error(f"http: a form body must be a string, got {shown_type(body)}")
    return quote(body.replace(" ", "+"), safe=_FORM_SAFE).encode()


def is_json(media_type: str) -> bool:
    """Whether a media type is JSON."""
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


async def _content(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    total = 0
    async for chunk in response.content.iter_any():
        total += len(chunk)
        if total > limits.RESPONSE_BYTES:
            raise limit_error(f"HTTP response size limit exceeded: more than {limits.RESPONSE_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _headers(response: aiohttp.ClientResponse) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    for name, value in response.headers.items():
        canonical = "-".join(part.capitalize() for part in name.split("-"))
        known = headers.get(canonical)
        headers[canonical] = value if known is None else f"{known}{assumptions.HEADER_SEPARATOR}{value}"
    return headers


def _decoded(response: aiohttp.ClientResponse, content: bytes) -> Any:
    media_type = response.content_type.lower() if "Content-Type" in response.headers else ""
    if is_json(media_type):
        if not content.strip():
            return assumptions.EMPTY_JSON_BODY
        try:
            return decode_json(content)
        except (RecursionError, ValueError):
            return content.decode("utf-8", "replace")
    if media_type.startswith("text/"):
        return _text(content, response.charset)
    return content if content or media_type else None


def _text(content: bytes, charset: str | None) -> str:
    try:
        return content.decode(charset or "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")
