"""Starts and stops a whole stack: the emulator and the fronts in this process, each service in a process of its own."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from emulator import debugging, ports
from emulator.identity.backend import Backend
from emulator.identity.front import Front
from emulator.server import Emulator
from emulator.stack.model import Service, Stack, StackError
from emulator.supervisor import environment, reloads
from emulator.supervisor.console import Console
from emulator.supervisor.job_tasks import JobTasks
from emulator.supervisor.loans import Loans
from emulator.supervisor.logs import ProcessLog
from emulator.supervisor.model_containers import ModelContainers
from emulator.supervisor.reaper import Reaper
from emulator.supervisor.service_process import Launch, ServiceProcess, StartError


class StartFailedError(RuntimeError):
    """A service did not start; the message says how it ended, and the lines after that are its last output."""

    def __init__(self, service: str, message: str, log: Path) -> None:
        super().__init__(message)
        self.service, self.log = service, log


class Supervisor:
    """Runs a stack.

    Args:
        numbers: the port of each service, and the emulator's own as `http` and `grpc`.
        data: folder of the logs, and of the state unless `memory` is set.
    """

    def __init__(
        self, stack: Stack, numbers: Mapping[str, int], data: Path, console: Console, *, memory: bool = False
    ) -> None:
        self._stack, self._numbers, self._console = stack, numbers, console
        self._logs = data / "logs"
        self.urls = {service.name: f"http://{ports.HOST}:{numbers[service.name]}" for service in stack.services}
        self._reaper = Reaper()
        self._tasks = JobTasks(stack, self._logs, console, self._reaper)
        self._containers = ModelContainers(stack, self._logs, console, self._reaper)
        self.emulator = Emulator(
            stack,
            None if memory else data,
            services=self.urls,
            http_port=numbers["http"],
            grpc_port=numbers["grpc"],
            start_task=self._tasks.start,
            start_container=self._containers.start,
            forget_execution=self._tasks.forget,
            logs=self._logs,
        )
        self._processes: list[ServiceProcess] = []
        self._fronts: list[Front] = []
        self._opened = False
        self._loans = Loans(data, self.urls, self._lend, console)
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Return when every service is ready and events are delivered.

        Raises:
            PortTakenError: another process listens on a port that is needed.
            StartFailedError: a service did not become ready.
            StackError: a workflow cannot be deployed, or a placeholder is unknown.
        """
        for service in self._stack.services:
            ports.check(self._numbers[service.name], service.name, f"services.{service.name}.port or --port-base")
        await self.emulator.open()
        self._opened = True
        inner = await self._open_fronts()
        self._tasks.prepare(self.emulator.placeholders)
        self._containers.prepare(self.emulator.placeholders)
        launches = [self._launch(service, inner[service.name]) for service in self._stack.services]
        self._processes = [self._process(launch) for launch in launches]
        await self._start_processes()
        await self.emulator.resume()
        await self._loans.open()

    def watch(self) -> None:
        """From now on, restart a service and deploy a workflow again when their files change; the state stays."""
        watched = {
            service.name: reloads.sources(self._stack, service, list(process.launch.argv), process.launch.env)
            for service, process in zip(self._stack.services, self._processes, strict=True)
        }
        watched |= {workflow.name: {self._stack.root / workflow.source} for workflow in self._stack.workflows}
        self._watching = asyncio.create_task(reloads.watch(watched, self._reload))
        self._console.report("emulator", f"watching the files of {', '.join(watched)}")

    async def stop(self) -> None:
        """Stop delivering events, then the services and the tasks of jobs, then the emulator."""
        if self._watching:
            self._watching.cancel()
        self._stopping = True
        await self._loans.close()
        stopping = [process.stop() for process in self._processes]
        if self._opened:
            for name in self.urls:
                self.emulator.hold(name)
            stopping += [self.emulator.jobs.stop(), self.emulator.vertex_ai.stop()]
        await asyncio.gather(*stopping)
        for front in self._fronts:
            front.close()
        await self.emulator.close()
        self._reaper.close()

    def kill(self) -> None:
        """Send SIGKILL to the services and the tasks of jobs."""
        for process in self._processes:
            process.kill()
        if self._opened:
            self.emulator.jobs.kill()
            self.emulator.vertex_ai.kill()

    async def _reload(self, name: str) -> None:
        """Restart the service of this name, or deploy the workflow; a mistake is shown, and the next change helps."""
        process = next((process for process in self._processes if process.launch.name == name), None)
        try:
            if process is None:
                self.emulator.deploy()
                self._console.report(name, "deployed again")
            elif not process.is_lent:
                self._console.report(name, "its files have changed; restarting")
                await process.restart()
        except (StartError, StackError) as error:
            self._console.report(name, str(error))

    async def _lend(self, name: str, loan: AsyncExitStack) -> dict[str, Any]:
        """Stop a service's process and describe how to run it; the end of the loan starts the process again."""
        process = next(process for process in self._processes if process.launch.name == name)
        service = next(service for service in self._stack.services if service.name == name)
        launch = process.launch
        loan.enter_context(debugging.debugged(self.urls[name]))
        loan.push_async_callback(self._take_back, process)
        await process.lend()
        readiness = asyncio.create_task(process.await_borrower())
        loan.callback(readiness.cancel)
        self._console.report(name, "runs in a debugger; events wait until it is ready")
        return {
            "argv": list(launch.argv), "env": dict(launch.env), "folder": str(launch.folder), "port": launch.port,
            "function": service.function, "target": service.target, "signature": service.signature,
        }  # fmt: skip

    async def _take_back(self, process: ServiceProcess) -> None:
        if self._stopping:
            return
        try:
            await process.take_back()
        except StartError as error:
            self._console.report(process.launch.name, str(error))

    async def _open_fronts(self) -> dict[str, int]:
        """Listen on the services' public ports; returns the ports of their processes, which only the fronts call."""
        bound = {name: ports.listen(self._numbers[name], name, "--port-base") for name in self.urls}
        inner = ports.choose({}, list(bound))
        for service in self._stack.services:
            gate = self.emulator.gate(service, self.urls[service.name])
            front = Front(service.name, gate, Backend(inner[service.name]))
            self._fronts.append(front)
            await front.open(bound[service.name])
        return inner

    async def _start_processes(self) -> None:
        """Start all services concurrently; give up when one fails."""
        starting = {asyncio.create_task(process.start()): process.launch.name for process in self._processes}
        if not starting:
            return
        try:
            await asyncio.wait(starting, return_when=asyncio.FIRST_EXCEPTION)
            for task, name in starting.items():
                if task.done() and (error := task.exception()):
                    raise StartFailedError(name, str(error), self._log(name)) from error
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)

    def _process(self, launch: Launch) -> ServiceProcess:
        return ServiceProcess(
            launch,
            ProcessLog(launch.name, self._log(launch.name), self._console, self._stack.retention.log_mb),
            self._console,
            self._reaper,
            on_up=lambda: self.emulator.release(launch.name),
            on_down=lambda: self.emulator.hold(launch.name),
        )

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _launch(self, service: Service, port: int) -> Launch:
        values = {**self.emulator.placeholders(service.name), "port": str(port)}
        place = f"{self._stack.path}: services.{service.name}"
        variables = environment.filled_variables(place, {**self._stack.env, **service.env}, values)
        return Launch(
            name=service.name,
            argv=environment.filled(place, environment.service_command(service), values),
            env={
                **environment.inherited(own_identity=self._stack.iam is not None),
                **environment.container(service, port),
                **variables,
            },
            folder=self._stack.root,
            port=port,
            ready=service.ready,
            ready_timeout_s=service.ready_timeout_s,
        )
