import asyncio
import base64
import json
from typing import Any

import pytest
from aiohttp import web

from emulator.identity.token_sources import TokenRequest
from emulator.workflows import Outcome, Runtime, load
from emulator.workflows.errors import RaisedError
from emulator.workflows.runtime.http import encode_body, parse_url, with_query


def run(arguments: dict[str, Any], handler: Any, **runtime: Any) -> Outcome:
    """One http.post to a handler."""

    async def go() -> Outcome:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/path"
        call = {"call": "http.post", "args": {"url": url, **arguments}, "result": "r"}
        async with Runtime(**runtime) as shared:
            outcome = await load(json.dumps([{"c": call}, {"d": {"return": "${r.body}"}}])).execute(runtime=shared)
        await runner.cleanup()
        return outcome

    return asyncio.run(go())


def tags(outcome: Outcome) -> list[str]:
    assert outcome.error is not None
    value = outcome.error.value["tags"]
    assert isinstance(value, list)
    return value


async def echo_token(request: web.Request) -> web.Response:
    head, claims, signature = request.headers["Authorization"].removeprefix("Bearer ").split(".")
    assert head
    assert signature
    return web.json_response(json.loads(base64.urlsafe_b64decode(claims + "==")))


def test_oidc_sends_a_token_with_the_audience() -> None:
    claims = run({"auth": {"type": "OIDC"}}, echo_token).result
    assert claims["aud"].endswith("/path")
    assert run({"auth": {"type": "OIDC", "audience": "https://x"}}, echo_token).result["aud"] == "https://x"


def test_oauth2_sends_a_token_with_scopes() -> None:
    claims = run({"auth": {"type": "OAuth2", "scopes": ["a", "b"]}}, echo_token).result
    assert claims["scope"] == "a b"


def test_the_token_source_can_be_replaced_and_may_fail() -> None:
    async def source(request: TokenRequest) -> str:
        if request.audience == "bad":
            raise OSError("no credentials")
        return "mine"

    async def echo(request: web.Request) -> web.Response:
        return web.json_response(request.headers["Authorization"])

    assert run({"auth": {"type": "OIDC"}}, echo, token_source=source).result == "Bearer mine"
    assert tags(run({"auth": {"type": "OIDC", "audience": "bad"}}, echo, token_source=source)) == ["AuthError"]


def test_a_slow_response_is_a_timeout() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    assert tags(run({"timeout": 0.05}, never)) == ["TimeoutError", "OSError"]


def test_a_broken_connection() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    assert tags(run({}, cut)) == ["ConnectionError", "OSError"]


def test_a_refused_connection() -> None:
    outcome = asyncio.run(load("- c: {call: http.get, args: {url: 'http://127.0.0.1:1/'}}\n").execute())
    assert tags(outcome) == ["ConnectionFailedError", "OSError"]


def test_a_response_above_2_mb() -> None:
    async def large(_: web.Request) -> web.Response:
        return web.Response(text="x" * (2 * 1024 * 1024 + 1))

    assert tags(run({}, large)) == ["ResourceLimitError"]


@pytest.mark.parametrize(
    ("body", "content_type", "sent", "header"),
    [
        ({"a": 1}, None, b'{"a":1}', "application/json; charset=utf-8"),
        ("text", None, b'"text"', "application/json; charset=utf-8"),
        (b"\x00", None, b"\x00", "application/octet-stream"),
        ([1], "application/vnd.x+json", b"[1]", "application/vnd.x+json"),
        ("a=b c&d=é", "application/x-www-form-urlencoded", b"a=b+c&d=%C3%A9", "application/x-www-form-urlencoded"),
        ("plain", "text/csv", b"plain", "text/csv"),
        (b"\xff", "image/png", b"\xff", "image/png"),
    ],
)
def test_bodies(body: Any, content_type: str | None, sent: bytes, header: str) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert encode_body(body, headers) == sent
    assert next(iter(headers.values())) == header


@pytest.mark.parametrize(("body", "content_type"), [("x", "application/json"), ({}, "text/plain"), ("x", "image/png")])
def test_bodies_that_do_not_fit_their_type(body: Any, content_type: str) -> None:
    with pytest.raises(RaisedError):
        encode_body(body, {"Content-Type": content_type})


def test_urls_are_sent_as_written() -> None:
    assert str(parse_url("http://h/a%2Fb/é x?q=1%202")) == "http://h/a%2Fb/%C3%A9%20x?q=1%202"


@pytest.mark.parametrize("url", ["", "h/x", "ftp://h", "http://", "http://[", "file:///etc/passwd"])
def test_invalid_urls(url: str) -> None:
    with pytest.raises(RaisedError, match="invalid URL"):
        parse_url(url)


def test_query_values() -> None:
    query = {"s": "a b&c", "n": 2, "d": 2.5, "b": True, "l": ["x", 1], "none": None}
    assert with_query("http://h/?k=v#f", query) == "http://h/?k=v&s=a%20b%26c&n=2&d=2.5&b=true&l=x&l=1#f"
