"""The proxy that counts storage requests."""

import asyncio

import pytest
from aiohttp import ClientSession, web

from benchmarks.pipeline.proxy import CountingProxy, operation


@pytest.mark.parametrize(
    ("method", "path", "phrase"),
    [
        ("POST", "/upload/storage/v1/b/local-work/o?uploadType=multipart", "create object in local-work"),
        ("GET", "/download/storage/v1/b/local-input/o/a.txt?alt=media", "read object in local-input"),
        ("GET", "/storage/v1/b/local-work/o?prefix=x", "GET list in local-work"),
        ("GET", "/other?x=1", "GET /other"),
    ],
)
def test_a_request_is_classified_by_operation_and_bucket(method: str, path: str, phrase: str) -> None:
    assert operation(method, path) == phrase


def test_a_target_that_closes_the_connection_gives_502(caplog: pytest.LogCaptureFixture) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def ask() -> int:
        app = web.Application()
        app.router.add_get("/", hang_up)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with CountingProxy() as proxy, ClientSession() as session:
                proxy.target = "http://{}:{}".format(*runner.addresses[0])
                async with session.get(proxy.url) as answer:
                    return answer.status
        finally:
            await runner.cleanup()

    assert asyncio.run(ask()) == 502
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
