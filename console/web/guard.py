"""Keeps other web pages out of the console, and uploaded content inside its box.

Every request must name the console's own host, every change must come from one of its own pages and carry its token,
and no page may run or load anything that the console did not serve.
"""

import hmac
import secrets
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emulator.loopback import refusal

TOKEN_HEADER = "x-console-token"  # noqa: S105 - the header's name
_SAFE = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PREVIEW_POLICY = "sandbox; default-src 'none'; img-src 'self' data:"
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


class Guard:
    """ASGI middleware in front of everything.

    Args:
        port: at which browsers find the console; it may listen at another one behind the emulator's front.

    Attributes:
        token: what a change must carry; a page of another site cannot read it.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app, self._port = app, port
        self.token = secrets.token_urlsafe(24)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["state"] = {**scope.get("state", {}), "token": self.token}
        reason = refusal(scope["headers"], self._port) or self._change_refusal(scope)
        if reason is not None:
            answer = PlainTextResponse(f"403 Forbidden: {reason}\n", HTTPStatus.FORBIDDEN, {"connection": "close"})
            await answer(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, guarded)

    def _change_refusal(self, scope: Scope) -> str | None:
        if scope["method"] in _SAFE:
            return None
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return "changes are only accepted from the console's own pages"
        if not hmac.compare_digest(headers.get(TOKEN_HEADER, ""), self.token):
            return "the page's token is missing or of an earlier console; reload the page"
        return None
