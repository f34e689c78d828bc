"""Runs the Workflows service on two free ports, with a small web server that its workflows call.

`python -m tests.emulator.workflows_api.serve FOLDER` runs it as a separate process and prints its addresses.
"""

import asyncio
import json
import socket
import sys
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from emulator.workflows_api import Workflows
from emulator.workflows_api.runner import Limits

LOCATION = "projects/local-project/locations/us-central1"


@dataclass
class Web:
    """A server for workflows to call: `/echo` returns the body; `/gate` waits until the gate opens."""

    requests: list[dict] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> list[Route]:
        return [Route("/echo", self.echo, methods=["GET", "POST"]), Route("/gate", self.wait, methods=["GET", "POST"])]

    async def echo(self, request: Request) -> JSONResponse:
        body = await request.json() if await request.body() else None
        self.requests.append({"headers": dict(request.headers), "body": body})
        return JSONResponse({"echo": body})

    async def wait(self, request: Request) -> JSONResponse:
        self.requests.append({"headers": dict(request.headers), "body": None})
        await self.gate.wait()
        return JSONResponse({"open": True})


@dataclass
class Addresses:
    http: str
    grpc: str
    service: Workflows
    web: Web


@asynccontextmanager
async def running(path: Path | None, limits: Limits | None = None):
    """The running service."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    http = f"http://127.0.0.1:{listening.getsockname()[1]}"
    service = Workflows(path, project="local-project", location="us-central1", base_url=http, limits=limits)
    web = Web()
    rpc = grpc.aio.server()
    service.add_to_server(rpc)
    port = rpc.add_insecure_port("127.0.0.1:0")
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=[*service.routes(), *web.routes()]), log_level="warning", lifespan="off")
    )
    await service.start()
    await rpc.start()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield Addresses(http, f"127.0.0.1:{port}", service, web)
    finally:
        await service.stop()
        web.gate.set()
        await rpc.stop(None)
        server.should_exit = True
        await serving


class Background:
    """`running` in a thread, for blocking clients."""

    def __init__(self, path: Path | None = None, limits: Limits | None = None) -> None:
        self._path, self._limits = path, limits
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        self.loop, self._down = asyncio.get_running_loop(), asyncio.Event()
        async with running(self._path, self._limits) as addresses:
            self.http, self.grpc = addresses.http, addresses.grpc
            self.service, self.web = addresses.service, addresses.web
            self._up.set()
            await self._down.wait()

    def __enter__(self) -> "Background":
        self._thread.start()
        assert self._up.wait(20), "the service did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._down.set)
        self._thread.join(20)

    def open_gate(self) -> None:
        self.loop.call_soon_threadsafe(self.web.gate.set)

    def close_gate(self) -> None:
        self.loop.call_soon_threadsafe(self.web.gate.clear)


async def _main(path: Path) -> None:
    async with running(path) as addresses:
        print(json.dumps({"http": addresses.http, "grpc": addresses.grpc}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
