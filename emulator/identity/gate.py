"""Checks the tokens of the calls to a service."""

import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from google.auth import exceptions, jwt

from emulator.identity.token_sources import ISSUER
from emulator.identity.tokens import TokenIssuer

_MAX_TOKEN = 16_384
_MAX_CACHED = 1_000


@dataclass(frozen=True)
class Refusal:
    """Why a call is refused: 403 without a token or permission, 401 for an invalid token."""

    status: int
    reason: str


@dataclass(frozen=True)
class _Caller:
    email: str
    until: float


class Gate:
    """Admits the callers of one service.

    Args:
        issuer: signs the tokens that are accepted.
        audience: what the tokens must be issued for, the service's URL.
        invokers: e-mail addresses of the accounts that may call, with "" if every call is admitted; None also admits
            every call.
        refused: called with the address of a caller who is not an invoker.
        now: seconds since 1970.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        audience: str,
        invokers: Container[str] | None,
        *,
        refused: Callable[[str], object] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.audience, self._issuer, self._invokers, self._now = audience, issuer, invokers, now
        self._refused = refused
        self._callers: dict[bytes, _Caller] = {}

    def refusal(self, authorization: Sequence[bytes]) -> Refusal | None:
        """Why a request with these `Authorization` headers is refused, None if it is admitted."""
        if self._invokers is None or "" in self._invokers:
            return None
        if len(authorization) > 1:
            return Refusal(401, "there is more than one Authorization header")
        scheme, _, token = authorization[0].partition(b" ") if authorization else (b"", b"", b"")
        if scheme.lower() != b"bearer":
            return Refusal(403, "there is no Authorization header with a Bearer token")
        try:
            caller = self._callers.get(token.strip()) or self._verified(token.strip())
        except exceptions.InvalidValue as error:
            return Refusal(401, f"the token is not valid: {error}")
        except (ValueError, RecursionError, exceptions.GoogleAuthError):  # their messages may contain the token
            return Refusal(401, "the token is malformed, or not signed by this issuer")
        if caller.until <= self._now():
            return Refusal(401, "the token has expired")
        if caller.email not in self._invokers:
            self._refused(caller.email)
            return Refusal(403, f"{caller.email} may not invoke this service: it lacks run.routes.invoke")
        return None

    def _verified(self, token: bytes) -> _Caller:
        """The caller that a token identifies, cached because verifying a signature is slow.

        Raises:
            InvalidValue: the token has expired or is for another service.
            ValueError, GoogleAuthError: the token is malformed or from another issuer.
        """
        if len(token) > _MAX_TOKEN:
            raise exceptions.InvalidValue("it is too long")
        certificates = {self._issuer.key_id: self._issuer.public_pem}
        claims = jwt.decode(token, certs=certificates, audience=self.audience)
        if claims.get("iss") != ISSUER or not claims.get("email"):
            raise exceptions.InvalidValue("it is not an identity token of this issuer")
        if len(self._callers) >= _MAX_CACHED:
            self._callers.clear()
        self._callers[token] = caller = _Caller(claims["email"], claims["exp"])
        return caller


def unsigned(authorization: bytes) -> bytes:
    """The header that the service receives: the token's claims without its signature, so that it cannot be reused."""
    head, dot, _ = authorization.rpartition(b".")
    return head + dot + b"SIGNATURE_REMOVED_BY_GOOGLE" if head.count(b".") == 1 else authorization
