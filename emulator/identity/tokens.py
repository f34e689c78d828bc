"""The emulator's identity provider: signs tokens and publishes the key to verify them.

Tokens have the form of Google's identity tokens (RS256, issuer, audience, e-mail of the service account), so
`google.oauth2.id_token.verify_token` accepts them when pointed at the emulator's certificate route.
"""

import base64
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.identity.token_sources import LIFETIME, TokenRequest
from emulator.state import StateError

RENEW_BEFORE = 600
_MAX_CACHED = 1000


class TokenIssuer:
    """Issues bearer tokens; the key is in the folder `path` (created if missing), or in memory for None."""

    def __init__(self, path: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._key = _load(path / "tokens.pem") if path else _generate()
        public = self._key.public_key()
        self.public_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
        self._numbers = public.public_numbers()
        self.key_id = hashlib.sha256(self.public_pem.encode()).hexdigest()[:40]
        self._signer = crypt.RSASigner(self._key, self.key_id)
        self._cache: dict[TokenRequest, tuple[float, str]] = {}

    async def mint(self, request: TokenRequest) -> str:
        """A bearer token for a call, from the cache while it is valid for long enough."""
        now = self._now()
        renew_at, token = self._cache.get(request, (0.0, ""))
        if renew_at > now:
            return token
        token = self._sign(request, int(now))
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[request] = (now + LIFETIME - RENEW_BEFORE, token)
        return token

    def _sign(self, request: TokenRequest, now: int) -> str:
        return str(jwt.encode(self._signer, request.claims(now)).decode())

    def routes(self) -> list[Route]:
        """The public key at Google's paths: v3 as JWKS, v1 as PEM by key id."""
        return [
            Route("/oauth2/v3/certs", self._jwks, methods=["GET"]),
            Route("/oauth2/v1/certs", self._pem, methods=["GET"]),
        ]

    async def _jwks(self, _: Request) -> Response:
        key = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.key_id,
            "n": _base64url(self._numbers.n),
            "e": _base64url(self._numbers.e),
        }
        return JSONResponse({"keys": [key]})

    async def _pem(self, _: Request) -> Response:
        return JSONResponse({self.key_id: self.public_pem})


def _generate() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _load(path: Path) -> rsa.RSAPrivateKey:
    if path.exists():
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (TypeError, ValueError, UnsupportedAlgorithm):  # TypeError: it has a password
            key = None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise StateError(f"{path} does not hold an RSA key: delete it to generate a new one")
        return key
    key = _generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    unfinished = path.with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(pem)
    unfinished.replace(path)
    return key


def _base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
