"""An emulator in memory whose containers are small servers in this process."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from emulator import ports
from emulator.server import Emulator
from emulator.stack.model import ContainerImage, Stack
from emulator.vertex_ai import Container, ContainerError
from tests.emulator.conftest import Background

LOCATION = "projects/p/locations/us-central1"
IMAGE = "us-docker.pkg.dev/p/inference/gpu-service:7"
RESOURCES = {"machineSpec": {"machineType": "g2-standard-4"}, "minReplicaCount": 1}


@dataclass
class Running:
    """A container: it echoes its instances with its own variables, or answers what an instance says."""

    container: Container
    runner: web.AppRunner
    port: int
    stopped: bool = False

    @property
    def url(self) -> str:
        return f"http://{ports.HOST}:{self.port}"

    async def stop(self) -> None:
        self.stopped = True
        await self.runner.cleanup()

    def kill(self) -> None:
        self.stopped = True


@dataclass
class Containers:
    """Starts containers, but none whose artifacts are `gs://broken`; at first, those of `gs://slow` don't get ready."""

    started: list[Running] = field(default_factory=list)
    waiting: int = 0

    async def start(self, container: Container) -> Running:
        if container.env["AIP_STORAGE_URI"] == "gs://broken":
            raise ContainerError("it ended with status 1")

        if container.env["AIP_STORAGE_URI"] == "gs://slow" and not self.waiting:
            self.waiting += 1
            await asyncio.Event().wait()

        async def predict(request: web.Request) -> web.Response:
            body = await request.json()
            first = body["instances"][0]
            if "status" in first:
                return web.Response(status=first["status"], text=first.get("text", "refused"))
            return web.json_response({"predictions": [dict(container.env)], "asked": body, "metadata": {"a": 1}})

        app = web.Application(client_max_size=2**22)
        app.router.add_post(container.env["AIP_PREDICT_ROUTE"], predict)
        runner = web.AppRunner(app)
        await runner.setup()
        bound = ports.listen(0, "container", "")
        await web.SockSite(runner, bound).start()
        running = Running(container, runner, bound.getsockname()[1])
        self.started.append(running)
        return running


class Vertex:
    """The API of a running emulator, as short calls."""

    def __init__(self, http: str) -> None:
        self.http = httpx.Client(base_url=f"http://{http}/v1/")

    def call(self, verb: str, path: str, body: Any = None, **query: str) -> Any:
        """The JSON of an answer, or of its error."""
        return self.http.request(verb, path, json=body, params=query).json()

    def done(self, operation: Any) -> Any:
        """The response of an operation when it has ended."""
        while not operation.get("done"):
            assert "name" in operation, operation
            operation = self.call("POST", f"{operation['name']}:wait", {"timeout": "10s"})
        return operation

    def upload(self, model: str = "m", parent: str = "", **fields: Any) -> Any:
        described = {"displayName": model, "containerSpec": {"imageUri": IMAGE}, "artifactUri": "gs://b/m", **fields}
        identity = {"parentModel": parent} if parent else {"modelId": model}
        return self.call("POST", f"{LOCATION}/models:upload", {"model": described, **identity})

    def version(self, model: str, **fields: Any) -> Any:
        return self.upload(model, f"{LOCATION}/models/{model}", **fields)

    def endpoint(self, name: str = "e") -> str:
        self.call("POST", f"{LOCATION}/endpoints", {"displayName": name}, endpointId=name)
        return f"{LOCATION}/endpoints/{name}"

    def deploy(self, endpoint: str, model: str, split: dict[str, int] | None = None, **fields: Any) -> Any:
        deployed = {"model": f"{LOCATION}/models/{model}", "dedicatedResources": RESOURCES, **fields}
        body = {"deployedModel": deployed, **({"trafficSplit": split} if split else {})}
        return self.done(self.call("POST", f"{endpoint}:deployModel", body))

    def predict(self, endpoint: str, *instances: Any) -> Any:
        return self.call("POST", f"{endpoint}:predict", {"instances": list(instances) or [{"text": "a"}]})


@pytest.fixture
def containers() -> Containers:
    return Containers()


@pytest.fixture
def start(background: Background, containers: Containers) -> Iterator[Callable[..., Vertex]]:
    """Starts an emulator, on a folder or in memory; another start stops the earlier one."""
    running: list[Emulator] = []
    stack = Stack(
        path=Path("stack.yaml"),
        root=Path(),
        project="p",
        containers=(ContainerImage("model", "*/gpu-service*", ("python",), "server"),),
    )

    def start(data: Path | None = None) -> Vertex:
        if running:
            background.run(running.pop().close())
        emulator = Emulator(stack, data, services={}, start_container=containers.start)
        background.run(emulator.__aenter__())
        running.append(emulator)
        return Vertex(emulator.http)

    yield start
    background.run(running.pop().close())


@pytest.fixture
def vertex(start: Callable[..., Vertex]) -> Vertex:
    return start()
