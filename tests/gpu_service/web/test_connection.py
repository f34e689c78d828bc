"""Raw connections: what a client may send outside of bodies, and for how long."""

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from gpu_service.web.asgi import Request, Response
from gpu_service.web.connection import (
    BODY_TIMEOUT,
    HEAD_TIMEOUT_S,
    MAX_HEAD_BYTES,
    MAX_UNREAD_BYTES,
    BodyTimeout,
    Connection,
)

POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
END = b"content-length: 0\r\nconnection: close\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n" + END
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + END


async def length(scope: Any, receive: Any, send: Any) -> None:
    body = await Request(scope, receive).body(1 << 30)
    await Response(200, str(len(body)).encode()).send(send)


@asynccontextmanager
async def served(
    head_timeout_s: float = HEAD_TIMEOUT_S, body_timeout: BodyTimeout = BODY_TIMEOUT
) -> AsyncIterator[int]:
    http: Any = functools.partial(Connection, head_timeout_s=head_timeout_s, body_timeout=body_timeout)
    config = uvicorn.Config(length, http=http, ws="none", lifespan="off", log_config=None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving


async def exchange(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def answers(*parts: bytes, head_timeout_s: float = HEAD_TIMEOUT_S, body_timeout: BodyTimeout = BODY_TIMEOUT) -> bytes:
    async def run() -> bytes:
        async with served(head_timeout_s, body_timeout) as port:
            return await asyncio.wait_for(exchange(port, *parts), 20)

    return asyncio.run(run())


def test_a_head_that_is_never_finished_times_out():
    assert answers(POST, head_timeout_s=0.05) == TOO_SLOW


def test_a_connection_without_a_request_is_closed():
    assert answers(head_timeout_s=0.05) == b""


def test_a_second_request_has_its_own_deadline():
    received = answers(POST + b"content-length: 3\r\n\r\nabc", b"POST /", head_timeout_s=0.05)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(TOO_SLOW)


def test_a_slow_body_is_waited_for():
    async def run() -> bytes:
        async with served(0.05) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST + b"content-length: 2\r\nconnection: close\r\n\r\na")
            await asyncio.sleep(0.2)  # longer than a head may take
            writer.write(b"b")
            received = await reader.read()
            writer.close()
            return received

    assert asyncio.run(run()).endswith(b"2")


SHORT = BodyTimeout(grace_s=0.1, rate=1e9, total_s=10)


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 3\r\n\r\n",
        b"content-length: 3\r\n\r\nab",
        b"transfer-encoding: chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n3\r\nab",
        b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n",
    ],
)
def test_a_body_that_is_never_finished_times_out(head: bytes):
    assert answers(POST + head, body_timeout=SHORT).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n") == TOO_SLOW


def test_the_body_of_a_second_request_has_its_own_deadline():
    first = POST + b"content-length: 3\r\n\r\nabc"
    received = answers(first, POST + b"content-length: 3\r\n\r\n", body_timeout=SHORT)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(TOO_SLOW)


def test_a_body_may_take_longer_while_it_arrives_but_not_for_ever():
    async def trickle(timeout: BodyTimeout) -> bytes:
        async with served(body_timeout=timeout) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST + b"content-length: 40\r\nconnection: close\r\n\r\n")
            for _ in range(40):
                await asyncio.sleep(0.01)
                writer.write(b"a")
            received = await reader.read()  # a refusal too, although the client went on sending after it
            writer.close()
            return received

    assert asyncio.run(trickle(BodyTimeout(grace_s=0.1, rate=20, total_s=20))).endswith(b"40")
    assert asyncio.run(trickle(BodyTimeout(grace_s=0.1, rate=20, total_s=0.2))) == TOO_SLOW


def test_a_refused_client_that_never_stops_is_cut_off():
    async def send() -> None:
        async with served(head_timeout_s=0.05) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionError):
                for _ in range(MAX_UNREAD_BYTES >> 19):
                    writer.write(b"a" * (1 << 20))
                    await writer.drain()
                pytest.fail("everything was read")

    asyncio.run(send())


def test_pipelined_requests_are_answered_in_order():
    body = b"content-length: %d\r\n\r\n"
    parts = [POST + body % 3 + b"abc" + POST + body % 1 + b"a" + POST, b"connection: close\r\n" + body % 0]
    received = answers(*parts)
    assert [part[-1:] for part in received.split(b"HTTP/1.1 200 ")[1:]] == [b"3", b"1", b"0"]


UPGRADE = POST + b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_requests_to_upgrade_are_read_as_they_are(pieces: int):
    """Java's client sends one with every request, and curl with --http2."""
    requests = [
        UPGRADE + b"content-length: 3\r\n\r\nabc",
        UPGRADE + b"content-length: 0\r\n\r\n",
        UPGRADE + CHUNKED,
        UPGRADE.replace(b"POST", b"GET") + b"\r\n",
        UPGRADE + b"content-length: 6\r\n\r\nGET / ",
        POST + b"content-length: 2\r\nconnection: close\r\n\r\nab",
    ]
    data = b"".join(requests)
    size = -(-len(data) // pieces)

    async def run() -> bytes:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for start in range(0, len(data), size):
                writer.write(data[start : start + size])
                await asyncio.sleep(0)
            received = await reader.read()
            writer.close()
            return received

    received = asyncio.run(run())
    assert [part[-1:] for part in received.split(b"HTTP/1.1 200 ")[1:]] == [b"3", b"0", b"5", b"0", b"6", b"2"]


def test_the_body_of_a_request_to_upgrade_has_a_deadline():
    assert answers(UPGRADE + b"content-length: 3\r\n\r\nab", body_timeout=SHORT) == TOO_SLOW


HUGE = b"y" * (MAX_HEAD_BYTES + 1)


@pytest.mark.parametrize(
    "parts",
    [
        (b"POST /" + HUGE,),
        (POST + b"x: ", HUGE),
        (POST + HUGE,),
        (POST, *(b"x: y\r\n" * 2000,) * 10),
    ],
    ids=["path", "value", "name", "many headers"],
)
def test_a_head_that_is_too_large_is_refused(parts: tuple[bytes, ...]):
    assert answers(*parts) in (TOO_LARGE, b"")  # a client that still sends may lose the answer


def test_headers_after_a_body_are_bounded_too():
    chunked = POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    assert answers(chunked + b"a: b\r\n\r\n" + POST + b"connection: close\r\n\r\n").count(b" 200 ") == 2
    assert b" 200 " not in answers(chunked + b"x: ", *[b"y" * 8192] * 40)


def test_a_large_body_is_not_part_of_the_head():
    body = b"x" * 3_000_000
    head = POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    assert answers(head + body).endswith(b"3000000")
    first = POST + b"content-length: %d\r\n\r\n" % len(body)
    assert answers(first + body + POST[:9], POST[9:] + b"connection: close\r\n\r\n").count(b" 200 ") == 2


LIMIT = 16 << 20
PREDICT = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def port(serve_long: Callable[..., Any]) -> int:
    server = serve_long()
    server.wait_until_ready()
    return int(server.port)


def test_a_length_beyond_the_limit_is_refused_before_the_body_is_sent(port: int):
    for length in (b"%d" % (LIMIT + 1), b"9" * 19):
        received = asyncio.run(
            exchange(port, PREDICT + b"expect: 100-continue\r\ncontent-length: " + length + b"\r\n\r\n")
        )
        assert received.startswith(b"HTTP/1.1 413 ")
        assert b"\r\nconnection: close\r\n" in received


@pytest.mark.parametrize("head", [b"POST /nowhere", b"GET /predict", b"POST /health"])
def test_a_client_that_waits_to_continue_is_refused_without_its_body(port: int, head: bytes):
    request = head + b" HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
    received = asyncio.run(exchange(port, request))
    assert received.startswith(b"HTTP/1.1 40")
    assert b"\r\nconnection: close\r\n" in received


def test_a_client_that_expects_to_continue_is_told_to(port: int):
    body = b'{"text": "good"}'
    head = PREDICT + b"expect: 100-continue\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)

    async def run() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        received = await reader.read()
        writer.close()
        return received

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200 ")


CHUNK = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (b"content-length: %d\r\n\r\n" % (LIMIT + 1), b" " * (LIMIT + 1)),
        (b"transfer-encoding: chunked\r\n\r\n", CHUNK * 17, b"0\r\n\r\n"),
        (b"content-encoding: br\r\ncontent-length: 3\r\n\r\n", b"abc"),
    ],
    ids=["length", "chunks", "coding"],
)
def test_a_connection_is_usable_after_a_refused_body(port: int, parts: tuple[bytes, ...]):
    received = asyncio.run(exchange(port, PREDICT, *parts, HEALTH))
    assert received.startswith(b"HTTP/1.1 41")
    assert received.count(b"HTTP/1.1 ") == 2
    assert received.endswith(b'{"status":"ok"}')


def test_a_refused_body_is_not_read_for_ever(port: int):
    head = PREDICT + b"transfer-encoding: chunked\r\n\r\n"
    chunks = [CHUNK] * ((LIMIT + MAX_UNREAD_BYTES >> 20) + 64)
    assert asyncio.run(exchange(port, head, *chunks, b"0\r\n\r\n" + HEALTH)).count(b"HTTP/1.1 ") < 2


@pytest.mark.parametrize("target", ["/predict/", "/v2/models/moods/infer", "/nowhere"])
def test_a_connection_is_usable_after_an_error(port: int, target: str):
    bad = f"POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n{{".encode()
    received = asyncio.run(exchange(port, bad * 3 + HEALTH))
    assert received.count(b"HTTP/1.1 40") == 3
    assert received.endswith(b'{"status":"ok"}')


def test_the_answer_to_head_has_no_body(port: int):
    received = asyncio.run(exchange(port, HEALTH.replace(b"GET", b"HEAD")))
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"\r\n\r\n")


def test_the_service_bounds_the_head_of_a_request(serve: Callable[..., Any]):
    server = serve()
    server.wait_until_alive()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + HUGE)
        with suppress(ConnectionResetError):
            assert connection.recv(1 << 16) in (TOO_LARGE, b"")
    assert server.http.get("/health").status_code == 200
