"""The HTTP server's limits on a request's head."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulator import ports
from emulator.web import HEAD_TIMEOUT_S, WebServer


async def length(request: Request) -> Response:
    return Response(str(len(await request.body())))


@asynccontextmanager
async def served(head_timeout_s: float = HEAD_TIMEOUT_S) -> AsyncIterator[int]:
    bound = ports.listen(0, "web", "")
    server = WebServer(Starlette(routes=[Route("/", length, methods=["POST"])]), bound, head_timeout_s=head_timeout_s)
    await server.start()
    yield bound.getsockname()[1]
    await server.stop()


async def exchange(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(ports.HOST, port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    response = await reader.read()
    writer.close()
    return response


def test_a_head_that_is_never_finished_times_out() -> None:
    async def check() -> None:
        async with served(head_timeout_s=0.05) as port:
            assert await exchange(port, b"POST / HTTP/1.1\r\nHost: loc") == b"HTTP/1.1 408 Request Timeout\r\n" + CLOSE
            assert (await exchange(port, b"")).startswith(b"HTTP/1.1 408 ")

    asyncio.run(check())


def test_a_second_request_has_its_own_deadline() -> None:
    async def check() -> None:
        async with served(head_timeout_s=0.05) as port:
            first = b"POST / HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 3\r\n\r\nabc" % port
            response = await exchange(port, first, b"POST /")
            assert response.startswith(b"HTTP/1.1 200 ")
            assert response.endswith(b"HTTP/1.1 408 Request Timeout\r\n" + CLOSE)

    asyncio.run(check())


def test_a_slow_body_is_waited_for() -> None:
    async def check() -> None:
        async with served(head_timeout_s=0.05) as port:
            reader, writer = await asyncio.open_connection(ports.HOST, port)
            writer.write(
                b"POST / HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 2\r\nConnection: close\r\n\r\na" % port
            )
            await asyncio.sleep(0.2)  # longer than a head may take
            writer.write(b"b")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()

    asyncio.run(check())


def test_a_head_that_is_too_large_is_refused() -> None:
    async def check() -> None:
        async with served() as port:
            response = await exchange(port, b"POST / HTTP/1.1\r\nX: ", b"y" * 80_000)
            assert response == b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + CLOSE

    asyncio.run(check())


def test_a_refused_client_that_goes_on_sending_reads_the_refusal() -> None:
    async def check() -> None:
        async with served() as port:
            reader, writer = await asyncio.open_connection(ports.HOST, port)
            for _ in range(8):
                writer.write(b"POST / HTTP/1.1\r\nX: " + b"y" * 80_000)
                await writer.drain()
                await asyncio.sleep(0.02)  # the refusal has been sent, and not yet read
            assert await reader.read() == b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + CLOSE
            writer.close()

    asyncio.run(check())


def test_a_large_body_is_no_part_of_the_head() -> None:
    async def check() -> None:
        async with served() as port:
            head = (
                b"POST / HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n" % port
            )
            response = await exchange(port, head + b"x" * 300_000)
            assert response.endswith(b"300000")

    asyncio.run(check())


CLOSE = b"Content-Length: 0\r\nConnection: close\r\n\r\n"
