"""Bearer tokens as callers see them: what they request, and where the tokens come from."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

ISSUER = "https://accounts.google.com"
LIFETIME = 3600
_PUBLIC_KEY = b"emulator"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The token for a call. `kind` is OIDC or OAuth2; `audience` goes with OIDC only, `scopes` with OAuth2 only."""

    kind: str
    audience: str | None
    scopes: tuple[str, ...]
    service_account: str

    def claims(self, now: int) -> dict[str, Any]:
        """The claims of a token issued at `now`, seconds since 1970."""
        account = self.service_account
        identity = {"iss": ISSUER, "sub": account, "email": account, "email_verified": True}
        purpose = {"aud": self.audience} if self.kind == "OIDC" else {"scope": " ".join(self.scopes)}
        return {**identity, "iat": now, "exp": now + LIFETIME, **purpose}


TokenSource = Callable[[TokenRequest], Awaitable[str]]


async def local_token(request: TokenRequest) -> str:
    """A JWT signed with a publicly known key: it proves nothing, but a service can read its audience."""
    claims = request.claims(int(time.time()))
    head = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(claims)}"
    return f"{head}.{_base64url(hmac.digest(_PUBLIC_KEY, head.encode(), hashlib.sha256))}"


def from_metadata_server(host: str) -> TokenSource:
    """Identity tokens from the metadata server at `host:port`, and local access tokens, which no emulated API checks.

    The source raises RuntimeError when the server refuses.
    """

    async def mint(request: TokenRequest) -> str:
        if request.kind != "OIDC" or request.audience is None:
            return await local_token(request)
        url = f"http://{host}/computeMetadata/v1/instance/service-accounts/{request.service_account}/identity"
        parameters, headers = {"audience": request.audience}, {"Metadata-Flavor": "Google"}
        async with aiohttp.ClientSession() as session, session.get(url, params=parameters, headers=headers) as response:
            text = await response.text()
            if response.status != 200:
                raise RuntimeError(f"{url} answers {response.status}: {text}")
            return text

    return mint


def _segment(content: dict[str, Any]) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
