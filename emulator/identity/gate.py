"""Decides whether a call may reach a service, by the token that it carries."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.auth import exceptions, jwt

from emulator.identity.token_sources import ISSUER
from emulator.identity.tokens import TokenIssuer

_MAX_TOKEN = 16_384
_MAX_KNOWN = 1_000


@dataclass(frozen=True)
class Refusal:
    """Why a call is turned away: 403 without a token or permission, 401 for a token that proves nothing."""

    status: int
    reason: str


@dataclass(frozen=True)
class _Caller:
    email: str
    until: float


class Gate:
    """Checks callers of one service.

    Args:
        issuer: whose tokens count.
        audience: what they must be made for, the service's URL.
        invokers: e-mail addresses of the accounts that may call, or None to let everybody pass.
        now: seconds since 1970.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        audience: str,
        invokers: frozenset[str] | None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.audience, self._issuer, self._invokers, self._now = audience, issuer, invokers, now
        self._known: dict[bytes, _Caller] = {}

    def refusal(self, authorization: Sequence[bytes]) -> Refusal | None:
        """Why a request with these `Authorization` headers is refused; None lets it pass."""
        if self._invokers is None:
            return None
        if len(authorization) > 1:
            return Refusal(401, "there is more than one Authorization header")
        scheme, _, token = authorization[0].partition(b" ") if authorization else (b"", b"", b"")
        if scheme.lower() != b"bearer":
            return Refusal(403, "there is no Authorization header with a Bearer token")
        try:
            caller = self._known.get(token.strip()) or self._verified(token.strip())
        except exceptions.InvalidValue as error:
            return Refusal(401, f"the token is not valid: {error}")
        except (ValueError, RecursionError, exceptions.GoogleAuthError):  # their messages may quote the token
            return Refusal(401, "the token is malformed, or not signed by this issuer")
        if caller.until <= self._now():
            return Refusal(401, "the token has expired")
        if caller.email not in self._invokers:
            return Refusal(403, f"{caller.email} may not invoke this service")
        return None

    def _verified(self, token: bytes) -> _Caller:
        """Who a token is of; it is remembered, since checking a signature takes longer than all else here.

        Raises:
            InvalidValue: it has expired, or is not for this service.
            ValueError, GoogleAuthError: it is malformed, or not from the issuer.
        """
        if len(token) > _MAX_TOKEN:
            raise exceptions.InvalidValue("it is too long")
        certificates = {self._issuer.key_id: self._issuer.public_pem}
        claims = jwt.decode(token, certs=certificates, audience=self.audience)
        if claims.get("iss") != ISSUER or not claims.get("email"):
            raise exceptions.InvalidValue("it is no identity token of this issuer")
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[token] = caller = _Caller(claims["email"], claims["exp"])
        return caller


def unsigned(authorization: bytes) -> bytes:
    """The header as the service gets it: who called can be read, but the token can't be used again."""
    head, dot, _ = authorization.rpartition(b".")
    return head + dot + b"SIGNATURE_REMOVED_BY_GOOGLE" if head.count(b".") == 1 else authorization
