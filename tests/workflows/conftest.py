"""Fixtures for the cases: an event loop with a scripted local HTTP server, and a virtual clock."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from emulator.workflows import CallbackRegistry

EPOCH = 1_700_000_000.0
REAL_PER_VIRTUAL = 1 / 20_000  # a sleep takes a moment, so that other tasks can run first


class VirtualClock:
    """Sleeps take almost no time, but advance the clock and are recorded."""

    def __init__(self) -> None:
        self.time = EPOCH
        self.delays: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        until = self.time + seconds
        await asyncio.sleep(max(seconds, 0) * REAL_PER_VIRTUAL)
        self.time = max(self.time, until)


@dataclass
class Script:
    """What the server does in one case, and the requests that it received."""

    routes: list[dict[str, Any]] = field(default_factory=list)
    callbacks: CallbackRegistry = field(default_factory=CallbackRegistry)
    requests: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0
    calls: Counter[int] = field(default_factory=Counter)
    waiting: list[asyncio.Event] = field(default_factory=list)

    def next_answer(self, method: str, path: str) -> dict[str, Any] | None:
        """The route's response to this request; the last one repeats."""
        for index, route in enumerate(self.routes):
            if (route["method"], route["path"]) == (method, path):
                answers: list[dict[str, Any]] = route["respond"]
                self.calls[index] += 1
                return answers[min(self.calls[index], len(answers)) - 1]
        return None

    async def meet(self, size: int) -> None:
        """Return when `size` requests wait here."""
        event = asyncio.Event()
        self.waiting.append(event)
        if len(self.waiting) == size:
            for waiter in self.waiting:
                waiter.set()
            self.waiting.clear()
        await event.wait()


class Stage:
    """Runs coroutines in the event loop of the server, which follows the `script` of the current case."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.script = Script()
        self.url = ""

    async def start(self) -> None:
        self.server = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
        await self.server.setup()
        site = web.TCPSite(self.server, "127.0.0.1", 0)
        await site.start()
        host, port = self.server.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        script, body = self.script, await request.read()
        recorded = record(request, body)
        if "/callbacks/" in recorded["path"]:
            return self.deliver(recorded)
        script.requests.append(recorded)
        answer = script.next_answer(recorded["method"], recorded["path"])
        if answer is None:
            return web.json_response({"error": f"no route for {recorded['method']} {recorded['path']}"}, status=418)
        script.in_flight += 1
        script.max_in_flight = max(script.max_in_flight, script.in_flight)
        try:
            await asyncio.sleep(answer.get("delay", 0))
            if "barrier" in answer:
                await script.meet(answer["barrier"])
        finally:
            script.in_flight -= 1
        if answer.get("drop"):
            return await drop(request)
        return reply(answer, recorded)

    def deliver(self, recorded: dict[str, Any]) -> web.Response:
        request = {**recorded, "url": recorded["path"]}
        name = request.pop("path").removeprefix("/v1/")
        return web.json_response({}, status=self.script.callbacks.deliver(name, request, "2023-11-14T22:13:20Z"))


def record(request: web.BaseRequest, body: bytes) -> dict[str, Any]:
    query = {key: request.query.getall(key) for key in request.query}
    return {
        "method": request.method,
        "path": request.rel_url.raw_path,
        "query": {key: values if len(values) > 1 else values[0] for key, values in query.items()},
        "headers": dict(request.headers),
        "body": json.loads(body) if body and "json" in request.content_type else body.decode(),
    }


def reply(answer: dict[str, Any], recorded: dict[str, Any]) -> web.Response:
    body = "x" * answer["size"] if "size" in answer else answer.get("body", "")
    if "echo" in answer:
        body = recorded["body"][answer["echo"]]
    headers = {"content-type": "text/plain" if isinstance(body, str) else "application/json"}
    headers |= {name.lower(): value for name, value in answer.get("headers", {}).items()}
    text = body if isinstance(body, str) else json.dumps(body)
    return web.Response(status=answer.get("status", 200), body=text.encode(), headers=headers)


async def drop(request: web.BaseRequest) -> web.StreamResponse:
    """Abort the connection during the response."""
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b"x")
    assert request.transport is not None
    request.transport.abort()
    return response


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.runner:
        stage.runner.run(stage.start())
        yield stage
        stage.runner.run(stage.server.cleanup())


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def script(stage: Stage) -> Script:
    """A new script for one case."""
    stage.script = Script(callbacks=CallbackRegistry(stage.url))
    return stage.script
