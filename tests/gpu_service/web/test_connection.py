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
from gpu_service.web.connection import HEAD_TIMEOUT_S, MAX_HEAD_BYTES, Connection

POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
END = b"content-length: 0\r\nconnection: close\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n" + END
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + END


async def length(scope: Any, receive: Any, send: Any) -> None:
    body = await Request(scope, receive).body(1 << 30)
    await Response(200, str(len(body)).encode()).send(send)


@asynccontextmanager
async def served(head_timeout_s: float = HEAD_TIMEOUT_S) -> AsyncIterator[int]:
    http: Any = functools.partial(Connection, head_timeout_s=head_timeout_s)
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


def answers(*parts: bytes, head_timeout_s: float = HEAD_TIMEOUT_S) -> bytes:
    async def run() -> bytes:
        async with served(head_timeout_s) as port:
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


def test_the_service_bounds_the_head_of_a_request(serve: Callable[..., Any]):
    server = serve()
    server.wait_until_alive()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + HUGE)
        with suppress(ConnectionResetError):
            assert connection.recv(1 << 16) in (TOO_LARGE, b"")
    assert server.http.get("/health").status_code == 200
