"""Brings the whole stack up: the emulator and the services' fronts here, every service in its own process; and down."""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from emulator import ports
from emulator.identity import policy
from emulator.identity.backend import Backend
from emulator.identity.front import Front
from emulator.identity.gate import Gate
from emulator.server import Emulator
from emulator.stack import model
from emulator.stack.model import Service, Stack
from emulator.supervisor.job_tasks import Tasks
from emulator.supervisor.logs import Console
from emulator.supervisor.reaper import Guard
from emulator.supervisor.service_process import Child, Launch

# Settings of this shell's other programs that the functions-framework would take for its own.
_NOT_INHERITED = ("DEBUG", "HOST", "WORKERS", "THREADS")


class StartFailedError(RuntimeError):
    """The stack can't come up; `part` is the service that failed, the message its last words."""

    def __init__(self, part: str, message: str, log: Path) -> None:
        super().__init__(message)
        self.part, self.log = part, log


class Supervisor:
    """Runs a stack.

    Args:
        numbers: the port of each service, and of the emulator's own `http` and `grpc`.
        data: folder of the logs, and of the state unless it is kept in memory.
    """

    def __init__(
        self, stack: Stack, numbers: Mapping[str, int], data: Path, console: Console, *, memory: bool = False
    ) -> None:
        self._stack, self._numbers, self._console = stack, numbers, console
        self._logs = data / "logs"
        self.urls = {service.name: f"http://{ports.HOST}:{numbers[service.name]}" for service in stack.services}
        self._guard = Guard()
        self._tasks = Tasks(stack, self._logs, console, self._guard)
        self.emulator = Emulator(
            stack,
            None if memory else data,
            services=self.urls,
            http_port=numbers["http"],
            grpc_port=numbers["grpc"],
            start_task=self._tasks.start,
        )
        self._children: list[Child] = []
        self._fronts: list[Front] = []
        self._opened = False

    async def start(self) -> None:
        """Return when everything works and events are delivered.

        Raises:
            PortTakenError: somebody else listens on a port that a part needs.
            StartFailedError: a service didn't get ready.
            StackError: a workflow can't be deployed, or a placeholder names nothing.
        """
        for service in self._stack.services:
            ports.check(self._numbers[service.name], service.name, f"services.{service.name}.port or --port-base")
        await self.emulator.open()
        self._opened = True
        inner = await self._open_fronts()
        values = {"http": self.emulator.http, "grpc": self.emulator.grpc}
        values |= {f"{name}.url": url for name, url in self.urls.items()}
        self._tasks.prepare(values, _inherited())
        launches = [self._launch(service, inner[service.name], values) for service in self._stack.services]
        self._children = [self._child(launch) for launch in launches]
        await self._start_children()
        await self.emulator.resume()

    async def stop(self) -> None:
        """Stop delivering, stop the services and the jobs' tasks, then the emulator."""
        stopping = [child.stop() for child in self._children]
        if self._opened:
            for name in self.urls:
                self.emulator.hold(name)
            stopping.append(self.emulator.jobs.stop())
        await asyncio.gather(*stopping)
        for front in self._fronts:
            front.close()
        await self.emulator.close()
        self._guard.__exit__()

    def kill(self) -> None:
        """Let the services and the jobs' tasks end at once."""
        for child in self._children:
            child.kill()
        if self._opened:
            self.emulator.jobs.kill()

    async def _open_fronts(self) -> dict[str, int]:
        """Listen where the services are announced; returns the ports of their processes, which only the fronts know."""
        bound = {name: ports.listen(self._numbers[name], name, "--port-base") for name in self.urls}
        inner = ports.choose({}, list(bound))
        tokens = self.emulator.workflows.tokens
        for service in self._stack.services:
            gate = Gate(tokens, self.urls[service.name], policy.invokers(self._stack, service))
            front = Front(service.name, gate, Backend(inner[service.name]))
            self._fronts.append(front)
            await front.open(bound[service.name])
        return inner

    async def _start_children(self) -> None:
        """All at once; the first that fails fails the whole."""
        starting = {asyncio.create_task(child.start()): child for child in self._children}
        if not starting:
            return
        try:
            await asyncio.wait(starting, return_when=asyncio.FIRST_EXCEPTION)
            for task, child in starting.items():
                if task.done() and (error := task.exception()):
                    raise StartFailedError(child.launch.name, str(error), self._log(child.launch.name)) from error
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)

    def _child(self, launch: Launch) -> Child:
        return Child(
            launch,
            self._log(launch.name),
            self._console,
            self._guard,
            on_up=lambda: self.emulator.release(launch.name),
            on_down=lambda: self.emulator.hold(launch.name),
        )

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _launch(self, service: Service, port: int, values: Mapping[str, str]) -> Launch:
        values = {**values, "port": str(port)}
        try:
            argv = [model.fill(word, values) for word in _command(service)]
            env = {**self._stack.env, **service.env}
            filled = {name: model.fill(text, values) for name, text in env.items()}
        except model.StackError as error:
            raise model.StackError(f"{self._stack.path}: services.{service.name}: {error}") from error
        return Launch(
            name=service.name,
            argv=argv,
            env={**_inherited(), **_runtime(service, values["port"]), **filled},
            folder=self._stack.root,
            port=port,
            ready=service.ready,
            ready_timeout_s=service.ready_timeout_s,
        )


def _command(service: Service) -> list[str]:
    """The command line, with this interpreter where it says `python`."""
    if service.function is None:
        return [sys.executable if word == "python" else word for word in service.command]
    script = shutil.which("functions-framework", path=_path())
    framework = [sys.executable, script] if script else [sys.executable, "-m", "functions_framework"]
    options = ["--source", service.function, "--target", str(service.target), "--signature-type", service.signature]
    return [*framework, *options, "--host", ports.HOST, "--port", "{port}"]


def _inherited() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return {**kept, "PATH": _path(), "PYTHONUNBUFFERED": "1"}


def _runtime(service: Service, port: str) -> dict[str, str]:
    """What Cloud Run tells a container about itself."""
    return {
        "PORT": port,
        "K_SERVICE": service.name,
        "K_CONFIGURATION": service.name,
        "K_REVISION": f"{service.name}-local",
    }


def _path() -> str:
    """The search path with this interpreter's own programs first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
