"""The tokens that a gate admits, and the responses to the others."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from emulator.identity.gate import Gate, unsigned
from emulator.identity.token_sources import ISSUER, LIFETIME, TokenRequest
from emulator.identity.tokens import TokenIssuer

URL = "http://127.0.0.1:9020"
CALLER, STRANGER = "workflow@p.iam.gserviceaccount.com", "stranger@p.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a key, for issuers with different clocks."""
    folder = tmp_path_factory.mktemp("keys")
    TokenIssuer(folder)
    return folder


@pytest.fixture(scope="module")
def issuer(keys: Path) -> TokenIssuer:
    return TokenIssuer(keys)


def mint(issuer: TokenIssuer, audience: str = URL, email: str = CALLER, kind: str = "OIDC") -> bytes:
    scopes = ("https://www.googleapis.com/auth/cloud-platform",)
    return asyncio.run(issuer.mint(TokenRequest(kind, audience, scopes, email))).encode()


def part(content: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")


def claims(**changed: object) -> dict[str, object]:
    now = int(time.time())
    return {"iss": ISSUER, "aud": URL, "email": CALLER, "sub": CALLER, "iat": now, "exp": now + 60, **changed}


def signed(issuer: TokenIssuer, content: dict[str, object]) -> bytes:
    token: bytes = jwt.encode(issuer._signer, content)
    return token


def signed_by_another_key_of_that_name(issuer: TokenIssuer, keys: Path) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token: bytes = jwt.encode(crypt.RSASigner(key, issuer.key_id), claims())
    return token


def signed_with_the_public_key_as_secret(issuer: TokenIssuer, keys: Path) -> bytes:
    head = part({"alg": "HS256", "kid": issuer.key_id}) + b"." + part(claims())
    signature = hmac.new(issuer.public_pem.encode(), head, hashlib.sha256).digest()
    return head + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


def with_another_claim_under_the_same_signature(issuer: TokenIssuer, keys: Path) -> bytes:
    head, _, signature = mint(issuer, email=STRANGER).split(b".")
    return b".".join([head, part(claims()), signature])


NO_TOKENS: dict[str, Callable[[TokenIssuer, Path], bytes]] = {
    "empty": lambda issuer, keys: b"",
    "a secret of another kind": lambda issuer, keys: b"ya29.a0AfB_byC-another-kind-of-secret",
    "garbage in three parts": lambda issuer, keys: b"a.b.c",
    "no text": lambda issuer, keys: b"\xff\xfe.\xff.\xff",
    "deeply nested": lambda issuer, keys: b".".join([base64.urlsafe_b64encode(b"[" * 12_000), b"e30", b"e30"]),
    "endless": lambda issuer, keys: b"a" * 100_000,
    "unsigned": lambda issuer, keys: part({"alg": "none"}) + b"." + part(claims()) + b".",
    "expired": lambda issuer, keys: mint(TokenIssuer(keys, now=lambda: time.time() - LIFETIME - 60)),
    "of another issuer": lambda issuer, keys: mint(TokenIssuer()),
    "signed by another key of that name": signed_by_another_key_of_that_name,
    "signed with the public key as secret": signed_with_the_public_key_as_secret,
    "with another claim under the same signature": with_another_claim_under_the_same_signature,
    "for another service": lambda issuer, keys: mint(issuer, audience="http://127.0.0.1:9021"),
    "for a path of the service": lambda issuer, keys: mint(issuer, audience=URL + "/predict"),
    "for Google's APIs": lambda issuer, keys: mint(issuer, kind="OAuth2"),
    "of another authority": lambda issuer, keys: signed(issuer, claims(iss="https://elsewhere.example")),
    "of nobody": lambda issuer, keys: signed(issuer, claims(email="")),
    "passed on by a service": lambda issuer, keys: unsigned(mint(issuer)),
}


@pytest.mark.parametrize("made", NO_TOKENS.values(), ids=NO_TOKENS)
def test_an_invalid_token_gets_401(issuer: TokenIssuer, keys: Path, made: Callable[[TokenIssuer, Path], bytes]) -> None:
    token = made(issuer, keys)
    refusal = Gate(issuer, URL, frozenset({CALLER})).refusal([b"Bearer " + token])
    assert refusal is not None
    assert refusal.status == 401
    quoted = [part for part in token.decode("latin-1").split(".") if len(part) > 6 and part in refusal.reason]
    assert quoted == [], "the reason is logged, and what is no token here may be one elsewhere"


@pytest.mark.parametrize("headers", [[], [b""], [b"Basic dTpw"], [b"Bear x"]])
def test_a_call_without_a_bearer_token_gets_403(issuer: TokenIssuer, headers: list[bytes]) -> None:
    refusal = Gate(issuer, URL, frozenset({CALLER})).refusal(headers)
    assert refusal is not None
    assert refusal.status == 403


def test_an_unknown_accounts_token_gets_403_with_its_name(issuer: TokenIssuer) -> None:
    refusal = Gate(issuer, URL, frozenset({CALLER})).refusal([b"Bearer " + mint(issuer, email=STRANGER)])
    assert refusal is not None
    assert (refusal.status, STRANGER in refusal.reason) == (403, True)


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"Bearer  "])
def test_an_invokers_token_is_admitted_repeatedly(issuer: TokenIssuer, scheme: bytes) -> None:
    gate = Gate(issuer, URL, frozenset({CALLER}))
    assert [gate.refusal([scheme + mint(issuer)]) for _ in range(3)] == [None, None, None]


def test_two_tokens_are_refused(issuer: TokenIssuer) -> None:
    refusal = Gate(issuer, URL, frozenset({CALLER})).refusal([b"Bearer " + mint(issuer)] * 2)
    assert refusal is not None
    assert refusal.status == 401


def test_a_cached_token_is_refused_once_it_expires(issuer: TokenIssuer) -> None:
    now = [time.time()]
    gate = Gate(issuer, URL, frozenset({CALLER}), now=lambda: now[0])
    token = b"Bearer " + mint(issuer)
    assert gate.refusal([token]) is None
    now[0] += LIFETIME + 1
    refusal = gate.refusal([token])
    assert refusal is not None
    assert refusal.status == 401


def test_a_public_service_admits_every_call(issuer: TokenIssuer) -> None:
    gate = Gate(issuer, URL, None)
    assert [gate.refusal(headers) for headers in ([], [b"Bearer garbage"])] == [None, None]


def test_a_token_without_its_signature_still_identifies_the_caller(issuer: TokenIssuer) -> None:
    left = unsigned(b"Bearer " + mint(issuer))
    assert left.endswith(b".SIGNATURE_REMOVED_BY_GOOGLE")
    assert json.loads(base64.urlsafe_b64decode(left.split(b".")[1] + b"=="))["email"] == CALLER
    assert unsigned(b"Basic dTpw") == b"Basic dTpw"
