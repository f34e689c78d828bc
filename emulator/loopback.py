"""Keeps web pages away from the emulator: every port answers only programs of this machine, and pages that it served.

A browser lets any page send requests to loopback. Such a request carries the page's origin, or, after DNS rebinding,
the page's host name.
"""

import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

# A region before the address is gcloud's; no browser takes such a name, as one that ends in a number is an address.
_HOST = re.compile(rb"(?i)(localhost|(?:[a-z]+-[a-z]+\d+-)?127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?")
_DEFAULT_PORT = 80
_ALLOWED_SITES = (b"same-origin", b"none")

Headers = Iterable[tuple[bytes, bytes]]


def refusal(headers: Headers, port: int) -> str | None:
    """Why a request may not be answered at this port; None if it may.

    Args:
        headers: names in lower case, and values.
    """
    hosts, origins, sites = [], [], []
    for name, value in headers:
        if name == b"host":
            hosts.append(value.strip())
        elif name == b"origin":
            origins.append(value.strip())
        elif name == b"sec-fetch-site":
            sites.append(value.strip())
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if match is None or int(match[2] or _DEFAULT_PORT) != port:
        return f"the Host header must be localhost:{port} or 127.0.0.1:{port}"
    if any(origin.lower() != b"http://" + hosts[0].lower() for origin in origins):
        return "requests from web pages of another origin are not accepted"
    if any(site not in _ALLOWED_SITES for site in sites):
        return "requests from web pages of another site are not accepted"
    return None


class LocalOnly:
    """ASGI middleware that answers 403 where `refusal` has a reason, before any route sees the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reason = refusal(scope["headers"], scope["server"][1])
        if reason is None:
            await self._app(scope, receive, send)
            return
        body = f"403 Forbidden: {reason}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 403, "headers": [*headers, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})
