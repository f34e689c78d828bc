"""An HTTP service that records what is pushed to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Push:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP service that records requests; it responds with each of `answers` in turn, then with 204."""

    url: str = ""
    pushes: list[Push] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    gate: asyncio.Event | None = None
    location: str = ""  # of its redirects
    in_flight: int = 0  # requests without a response yet
    most: int = 0  # of those at a time

    async def handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.pushes.append(Push(request.path_qs, headers, await request.read()))
        status = self.answers.pop(0) if self.answers else 204
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            if self.gate:
                await self.gate.wait()
        finally:
            self.in_flight -= 1
        return web.Response(status=status, headers={"Location": self.location} if self.location else {})


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    receiver, app = Receiver(), web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other tasks do; the test's own timeout is the limit."""
    while not condition():
        await asyncio.sleep(0.005)
