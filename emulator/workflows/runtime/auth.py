"""Bearer tokens for `auth:`: locally minted, replaceable by the caller."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

LOCAL_KEY = b"emulator"
LIFETIME_S = 3600


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a call asks for: `kind` is OIDC or OAuth2; `audience` only with OIDC, `scopes` only with OAuth2."""

    kind: str
    audience: str | None
    scopes: tuple[str, ...]
    service_account: str


TokenSource = Callable[[TokenRequest], Awaitable[str]]


async def local_token(request: TokenRequest) -> str:
    """A JWT signed with a key that everybody knows: proves nothing, but lets a service check the audience."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "https://accounts.google.com",
        "email": request.service_account,
        "email_verified": True,
        "sub": request.service_account,
        "iat": now,
        "exp": now + LIFETIME_S,
    }
    if request.kind == "OIDC":
        claims["aud"] = request.audience
    else:
        claims["scope"] = " ".join(request.scopes)
    head = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(claims)}"
    signature = hmac.new(LOCAL_KEY, head.encode(), hashlib.sha256).digest()
    return f"{head}.{_text(signature)}"


def from_metadata_server(host: str) -> TokenSource:
    """Identity tokens of the metadata server at `host:port`; the emulator's APIs check no access tokens.

    It raises RuntimeError where the server gives none.
    """

    async def mint(request: TokenRequest) -> str:
        if request.kind != "OIDC" or request.audience is None:
            return await local_token(request)
        url = f"http://{host}/computeMetadata/v1/instance/service-accounts/{request.service_account}/identity"
        wanted, flavor = {"audience": request.audience}, {"Metadata-Flavor": "Google"}
        async with aiohttp.ClientSession() as session, session.get(url, params=wanted, headers=flavor) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise RuntimeError(f"{url} answers {answer.status}: {text}")
            return text

    return mint


def _segment(content: dict[str, Any]) -> str:
    return _text(json.dumps(content, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
