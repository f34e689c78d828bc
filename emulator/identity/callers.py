"""Recognises the callers of the emulator's APIs: by the port that they use, or by their access token.

Google's clients send no token to an emulator, so every account has ports of its own, which only the processes of the
account are told. At the main ports a caller is the developer unless an access token of the emulator says otherwise.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
import grpc.aio
from google.auth import exceptions, jwt
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator import access
from emulator.access import Caller
from emulator.iam.authority import Account, Authority
from emulator.identity.token_sources import ISSUER
from emulator.identity.tokens import TokenIssuer

_INVOKE = "run.routes.invoke"
_MAX_TOKEN = 16_384
_MAX_CACHED = 1_000


class Callers:
    """The callers of the HTTP ports.

    Args:
        owner: e-mail address of the developer.
        doors: account by port; "" is the port where a caller without a token is anonymous, instead of the developer.
    """

    def __init__(
        self,
        authority: Authority,
        issuer: TokenIssuer,
        owner: str,
        doors: Mapping[int, str],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._authority, self._issuer, self._owner, self._now = authority, issuer, owner, now
        self._accounts = {port: authority.account(email) for port, email in doors.items()}
        self._tokens: dict[bytes, tuple[str, float]] = {}

    def at(self, port: int, headers: Iterable[tuple[bytes, bytes]]) -> Caller | None:
        """Who sends a request to a port; None is the owner."""
        account = self._accounts.get(port)
        if account is not None and account.email:
            return account
        token = next((value for name, value in headers if name == b"authorization"), b"")
        email = self._identified(token.partition(b" ")[2].strip()) if token else None
        if email is None:
            return account
        return None if email == self._owner else self._authority.account(email)

    def _identified(self, token: bytes) -> str | None:
        """The account of an access token that the emulator has issued, "" once it has expired; None for any other."""
        email, until = self._tokens.get(token, ("", 0.0))
        if not email:
            try:
                email, until = self._verified(token)
            except exceptions.InvalidValue:  # its signature is valid
                return ""
            except (ValueError, RecursionError, exceptions.GoogleAuthError):
                return None
            if len(self._tokens) >= _MAX_CACHED:
                self._tokens.clear()
            self._tokens[token] = email, until
        return email if until > self._now() else ""

    def _verified(self, token: bytes) -> tuple[str, float]:
        if len(token) > _MAX_TOKEN or token.count(b".") != 2:
            raise ValueError("not a token of the emulator")
        claims = jwt.decode(token, certs={self._issuer.key_id: self._issuer.public_pem})
        if claims.get("iss") != ISSUER or "scope" not in claims:
            raise ValueError("not an access token")
        return str(claims["email"]), float(claims["exp"])


class Identified:
    """ASGI middleware that sets the caller of each request."""

    def __init__(self, app: ASGIApp, callers: Callers) -> None:
        self._app, self._callers = app, callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            access.CALLER.set(self._callers.at(scope["server"][1], scope["headers"]))
        await self._app(scope, receive, send)


class IdentifiedRpc(grpc.aio.ServerInterceptor):
    """Sets the caller of each RPC of a server that belongs to one account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        access.CALLER.set(self._account)
        return await continuation(handler_call_details)


class Invokers:
    """The accounts that may call a service by its policy, as a container of e-mail addresses; "" is everyone.

    Args:
        resource: the service's full name.
        owner: e-mail address of the developer, who may call every service.
    """

    def __init__(self, authority: Authority, resource: str, owner: str) -> None:
        self._authority, self._resource, self._owner = authority, resource, owner

    def __contains__(self, email: object) -> bool:
        if email == self._owner:
            return True
        account = self._authority.account(str(email))
        return account.may(_INVOKE, self._resource)

    def report(self, email: str) -> None:
        """Log that an account may not call the service."""
        self._authority.account(email).denied(_INVOKE, self._resource)
