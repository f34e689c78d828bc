import asyncio
import stat

import httpx
import pytest
from google.auth import exceptions, jwt
from starlette.applications import Starlette

from emulator.identity.token_sources import ISSUER, LIFETIME, TokenRequest
from emulator.identity.tokens import TokenIssuer

ASKED = TokenRequest("OIDC", "https://service.example", (), "runner@local-project.iam.gserviceaccount.com")


def published_keys(issuer):
    async def fetch():
        transport = httpx.ASGITransport(Starlette(routes=issuer.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://issuer") as client:
            return [(await client.get(f"/oauth2/{version}/certs")).json() for version in ("v1", "v3")]

    return asyncio.run(fetch())


def test_the_published_key_verifies_a_token():
    issuer = TokenIssuer()
    token = asyncio.run(issuer.mint(ASKED))
    pem, jwks = published_keys(issuer)
    claims = jwt.decode(token, certs=pem, audience="https://service.example")
    assert claims["iss"] == ISSUER
    assert claims["email"] == ASKED.service_account
    assert claims["exp"] - claims["iat"] == LIFETIME
    assert jwks["keys"][0]["kid"] == jwt.decode_header(token)["kid"]


def test_a_token_of_another_issuer_or_audience_is_refused():
    issuer = TokenIssuer()
    token = asyncio.run(issuer.mint(ASKED))
    pem, _ = published_keys(issuer)
    with pytest.raises(exceptions.GoogleAuthError):
        jwt.decode(token, certs=pem, audience="https://other.example")
    foreign, _ = published_keys(TokenIssuer())
    with pytest.raises(exceptions.GoogleAuthError):
        jwt.decode(token, certs=foreign)


def test_tokens_are_cached_and_renewed_before_they_expire():
    now = [1_000_000.0]
    issuer = TokenIssuer(now=lambda: now[0])
    first = asyncio.run(issuer.mint(ASKED))
    now[0] += LIFETIME - 601
    assert asyncio.run(issuer.mint(ASKED)) == first
    now[0] += 2
    assert asyncio.run(issuer.mint(ASKED)) != first


def test_access_tokens_carry_scopes_instead_of_an_audience():
    request = TokenRequest("OAuth2", None, ("a", "b"), "runner@x")
    claims = jwt.decode(asyncio.run(TokenIssuer().mint(request)), verify=False)
    assert claims["scope"] == "a b"
    assert "aud" not in claims


def test_the_key_outlives_the_process_and_is_private(tmp_path):
    assert TokenIssuer(tmp_path).key_id == TokenIssuer(tmp_path).key_id
    assert stat.S_IMODE((tmp_path / "tokens.pem").stat().st_mode) == 0o600
