"""The proxy in front of a service, over real sockets: access, streaming, and failures of either side."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from emulator import ports
from emulator.identity.backend import Backend
from emulator.identity.front import HEAD_TIMEOUT_S, Front
from emulator.identity.gate import Gate
from emulator.identity.token_sources import TokenRequest
from emulator.identity.tokens import TokenIssuer
from tests.emulator.receiver import receiving, until

CALLER, STRANGER = "workflow@p.iam.gserviceaccount.com", "stranger@p.iam.gserviceaccount.com"
ISSUER = TokenIssuer()

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Rig:
    """A front at `url` that admits CALLER, and the number of connections to the service behind it."""

    url: str
    http: aiohttp.ClientSession
    front: Front
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    async def bearer(self, audience: str = "", email: str = CALLER) -> dict[str, str]:
        token = await ISSUER.mint(TokenRequest("OIDC", audience or self.url, (), email))
        return {"Authorization": f"Bearer {token}"}

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(ports.HOST, int(self.url.rsplit(":", 1)[1]))


@contextmanager
def no_loop_errors() -> Iterator[None]:
    """Nothing that asyncio calls may raise."""
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    yield
    assert not errors


@asynccontextmanager
async def fronting(port: int, head_timeout_s: float = HEAD_TIMEOUT_S) -> AsyncIterator[Rig]:
    bound = ports.listen(0, "front", "")
    url = f"http://{ports.HOST}:{bound.getsockname()[1]}"
    front = Front("service", Gate(ISSUER, url, frozenset({CALLER})), Backend(port), head_timeout_s=head_timeout_s)
    await front.open(bound)
    async with aiohttp.ClientSession() as http:
        yield Rig(url, http, front)
    front.close()


@asynccontextmanager
async def behind(answer: Answer, port: int = 0) -> AsyncIterator[Rig]:
    """A front for a service that is a function on a connection."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, ports.HOST, port)
    async with fronting(server.sockets[0].getsockname()[1]) as rig:
        rig.connections = writers
        yield rig
    server.close()


@asynccontextmanager
async def behind_app(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Rig]:
    """A front for a web application with a single handler."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, ports.HOST, 0).start()
    async with fronting(runner.addresses[0][1]) as rig:
        yield rig
    await runner.cleanup()


def run(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that is a coroutine."""

    def wrapped() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    wrapped.__name__ = test.__name__
    return wrapped


async def unreachable(request: web.Request) -> web.StreamResponse:
    raise AssertionError("nothing may come through")


async def request_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


@run
async def test_only_an_invokers_token_for_this_service_is_admitted() -> None:
    async with receiving() as receiver, fronting(int(receiver.url.rsplit(":", 1)[1])) as rig:
        cases: list[tuple[dict[str, str], int]] = [
            ({}, 403),
            ({"Authorization": "Basic dTpw"}, 403),
            ({"Authorization": "Bearer garbage"}, 401),
            (await rig.bearer(audience="http://127.0.0.1:1"), 401),
            (await rig.bearer(email=STRANGER), 403),
        ]
        for headers, expected in cases:
            async with rig.http.post(rig.url, headers=headers, data=b"body") as answer:
                assert (answer.status, "Traceback" in await answer.text()) == (expected, False)
                assert ("invalid_token" in answer.headers.get("WWW-Authenticate", "")) == (expected == 401)
        assert receiver.pushes == []
        async with rig.http.post(f"{rig.url}/a%2Fb?c=d", headers=await rig.bearer(), data=b"body") as answer:
            assert answer.status == 204
        (push,) = receiver.pushes
        assert (push.path, push.body) == ("/a%2Fb?c=d", b"body")
        assert push.headers["authorization"].endswith(".SIGNATURE_REMOVED_BY_GOOGLE")
        assert push.headers["host"] == rig.url.removeprefix("http://")


@run
async def test_bodies_are_streamed_both_ways() -> None:
    """Each part is sent only after the previous one has come back, so that a buffering proxy would hang."""

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for part in request.content.iter_any():
            await response.write(part)
        return response

    came_back: asyncio.Queue[bytes] = asyncio.Queue()

    async def parts() -> AsyncIterator[bytes]:
        for number in range(5):
            yield b"%d" % number
            assert await came_back.get() == b"%d" % number

    async with behind_app(echo) as rig:
        async with rig.http.post(rig.url, headers=await rig.bearer(), data=parts()) as answer:
            async for part in answer.content.iter_any():
                came_back.put_nowait(part)
        assert came_back.empty()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_arrives_complete_in_both_directions(chunked: bool) -> None:
    content = bytes(range(256)) * 80_000  # 20 MB

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 300_000):
            yield content[start : start + 300_000]

    async def digest(request: web.Request) -> web.StreamResponse:
        digest = hashlib.sha256(await request.read()).hexdigest()
        return web.Response(body=content, headers={"Digest": digest})

    async def check() -> None:
        async with behind_app(digest) as rig:
            sent = pieces() if chunked else content
            async with rig.http.post(rig.url, headers=await rig.bearer(), data=sent) as answer:
                assert answer.headers["Digest"] == hashlib.sha256(content).hexdigest()
                assert await answer.read() == content

    asyncio.run(check())


@run
async def test_back_pressure_reaches_the_service() -> None:
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(bytes(1 << 20))
            sent += 1
        return response

    async with behind_app(pour) as rig:
        reader, writer = await rig.raw()
        bearer = (await rig.bearer())["Authorization"]
        writer.write(f"GET / HTTP/1.1\r\nHost: {rig.host}\r\nAuthorization: {bearer}\r\n\r\n".encode())
        await request_head(reader)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 100, "a gigabyte would lie in memory else"
        writer.close()


@run
async def test_connections_are_reused_on_both_sides() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await request_head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with behind(serve) as rig:
        for _ in range(3):
            async with rig.http.get(rig.url, headers=await rig.bearer()) as answer:
                assert await answer.text() == "ok"
        assert len(rig.connections) == 1
        assert len(rig.front.callers) == 1


@run
async def test_head_has_no_body_and_the_next_request_works() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if head.startswith(b"HEAD") else b"ok"))
        await writer.drain()
        await reader.read()

    async with behind(serve) as rig:
        async with rig.http.head(rig.url, headers=await rig.bearer()) as answer:
            assert answer.headers["Content-Length"] == "2"
        async with rig.http.get(rig.url, headers=await rig.bearer()) as answer:
            assert await answer.text() == "ok"


@run
async def test_a_body_that_ends_with_the_connection_arrives_complete() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100_000)

    async with behind(serve) as rig, rig.http.get(rig.url, headers=await rig.bearer()) as answer:
        assert len(await answer.read()) == 100_000


@run
async def test_expect_100_continue_is_forwarded() -> None:
    async def read(request: web.Request) -> web.StreamResponse:
        return web.Response(text=await request.text())

    async with behind_app(read) as rig:
        bearer = await rig.bearer()
        async with rig.http.post(rig.url, headers=bearer, data=b"body", expect100=True) as answer:
            assert (answer.status, await answer.text()) == (200, "body")


@run
async def test_a_service_may_answer_before_it_has_read_everything() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        await reader.read(1)

    async with behind(refuse) as rig:
        reader, writer = await rig.raw()
        bearer = (await rig.bearer())["Authorization"]
        head = f"POST / HTTP/1.1\r\nHost: {rig.host}\r\nAuthorization: {bearer}\r\nContent-Length: 1000000000\r\n\r\n"
        writer.write(head.encode() + bytes(100_000))
        assert (await request_head(reader)).startswith(b"HTTP/1.1 413")
        assert await reader.read() == b""
        writer.close()


@run
async def test_a_refused_caller_that_keeps_sending_reads_the_reason() -> None:
    async with behind_app(unreachable) as rig:
        reader, writer = await rig.raw()
        writer.write(f"POST / HTTP/1.1\r\nHost: {rig.host}\r\nContent-Length: 5000000\r\n\r\n".encode())
        for _ in range(10):
            writer.write(bytes(500_000))
            await writer.drain()
        assert (await request_head(reader)).startswith(b"HTTP/1.1 403")
        writer.close()


@run
async def test_calls_to_a_stopped_service_get_503_until_it_restarts() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    port = ports.choose({}, ["service"])["service"]
    async with fronting(port) as rig:
        async with rig.http.get(rig.url, headers=await rig.bearer()) as answer:
            assert answer.status == 503
        server = await asyncio.start_server(serve, ports.HOST, port)
        async with rig.http.get(rig.url, headers=await rig.bearer()) as answer:
            assert answer.status == 200
        server.close()


@run
async def test_a_service_that_dies_before_responding_gives_503() -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.transport.abort()

    async with behind(die) as rig, rig.http.get(rig.url, headers=await rig.bearer()) as answer:
        assert answer.status == 503


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_truncated_response_is_not_taken_for_complete(framing: bytes) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        writer.transport.abort()

    async def check() -> None:
        async with behind(die) as rig:
            with pytest.raises(aiohttp.ClientError):
                async with rig.http.get(rig.url, headers=await rig.bearer()) as answer:
                    await answer.read()

    asyncio.run(check())


@run
async def test_a_service_that_does_not_speak_http_gives_503() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        writer.write(b"\x00\x01 no HTTP at all \r\n\r\n")

    async with behind(babble) as rig, rig.http.get(rig.url, headers=await rig.bearer()) as answer:
        assert answer.status == 503


@run
async def test_a_caller_that_disconnects_ends_its_request() -> None:
    left = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        with suppress(ConnectionError):
            await reader.read()
        left.set()

    async with behind(wait) as rig:
        task = asyncio.create_task(rig.http.get(rig.url, headers=await rig.bearer()).__aenter__())
        await until(lambda: bool(rig.connections))
        task.cancel()
        await left.wait()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 501),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 403),
        (b"GET / HTTP/1.0\r\n\r\n", 403),
    ],
)
def test_malformed_requests_are_refused(sent: bytes, expected: int) -> None:
    async def check() -> None:
        async with behind_app(unreachable) as rig:
            reader, writer = await rig.raw()
            writer.write(sent.replace(b"Host: x", b"Host: " + rig.host.encode()))
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % expected)
            assert bool(body) != sent.startswith(b"HEAD")
            writer.close()

    asyncio.run(check())


@run
async def test_pipelined_requests_get_one_response_and_a_closed_connection() -> None:
    requests = 0

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal requests
        requests += 1
        return web.Response(text="ok")

    async with behind_app(count) as rig:
        reader, writer = await rig.raw()
        bearer = (await rig.bearer())["Authorization"]
        writer.write(f"GET / HTTP/1.1\r\nHost: {rig.host}\r\nAuthorization: {bearer}\r\n\r\n".encode() * 3)
        assert (await reader.read()).count(b"HTTP/1.1 200") == requests == 1
        writer.close()


@run
async def test_a_head_that_is_never_finished_times_out() -> None:
    async with fronting(1, head_timeout_s=0.05) as rig:
        for part in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
            reader, writer = await rig.raw()
            writer.write(part)
            assert (await request_head(reader)).startswith(b"HTTP/1.1 408 ")
            writer.close()


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request on its connection."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await request_head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def get(rig: Rig) -> str:
    async with rig.http.get(rig.url, headers=await rig.bearer()) as answer:
        return await answer.text()


@run
async def test_a_connection_that_was_idle_for_seconds_is_not_used_again() -> None:
    loop = asyncio.get_running_loop()
    time = loop.time
    async with behind(answer_ok) as rig:
        assert await get(rig) == "ok"
        loop.time = lambda: time() + 0.5  # type: ignore[method-assign]
        assert await get(rig) == "ok"
        assert len(rig.connections) == 1
        loop.time = lambda: time() + 2.5  # type: ignore[method-assign]
        assert await get(rig) == "ok"
        assert len(rig.connections) == 2


@run
async def test_one_idle_connection_that_closes_leaves_the_others_in_use() -> None:
    together = asyncio.Barrier(2)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_head(reader)
        await together.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await answer_ok(reader, writer)

    with no_loop_errors():
        async with behind(meet) as rig:
            assert await asyncio.gather(get(rig), get(rig)) == ["ok", "ok"]
            first, _ = rig.connections
            first.close()
            await first.wait_closed()
            await asyncio.sleep(0.01)
            assert [await get(rig) for _ in range(3)] == ["ok"] * 3
            assert len(rig.connections) == 2


@run
async def test_what_a_service_sends_unasked_is_passed_to_nobody_and_ends_its_connection() -> None:
    async with behind(answer_ok) as rig:
        with no_loop_errors():
            assert await get(rig) == "ok"
            rig.connections[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
            await until(rig.connections[0].is_closing)
            assert await get(rig) == "ok"
            assert len(rig.connections) == 2
