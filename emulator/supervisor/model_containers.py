"""Starts what stands for the container of a model that is deployed to an endpoint of Vertex AI."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator import ports
from emulator.stack.model import ContainerImage, Stack
from emulator.supervisor import environment
from emulator.supervisor.console import Console
from emulator.supervisor.logs import ProcessLog
from emulator.supervisor.reaper import Reaper
from emulator.supervisor.service_process import Launch, ServiceProcess, StartError
from emulator.vertex_ai import Container, ContainerError


@dataclass(frozen=True)
class ModelServer:
    """The process that serves a deployed model; it is started again whenever it ends."""

    process: ServiceProcess

    @property
    def url(self) -> str:
        return f"http://{ports.HOST}:{self.process.launch.port}"

    async def stop(self) -> None:
        await self.process.stop()

    def kill(self) -> None:
        self.process.kill()


class ModelContainers:
    """Runs the commands that stand for container images; the output of each goes to `<logs>/<container>.log`."""

    def __init__(self, stack: Stack, logs: Path, console: Console, reaper: Reaper) -> None:
        self._stack, self._logs, self._console, self._reaper = stack, logs, console, reaper
        self._images = {image.name: image for image in stack.containers}
        self._values_of: Callable[[str], Mapping[str, str]] = lambda _: {}

    def prepare(self, values_of: Callable[[str], Mapping[str, str]]) -> None:
        """Check the placeholders of every image.

        Args:
            values_of: the values of the placeholders for the account of this name.

        Raises:
            StackError: a placeholder is unknown.
        """
        self._values_of = values_of
        for image in self._images.values():
            self._filled(image, image.service_account, 0)

    async def start(self, container: Container) -> ModelServer:
        """Start a container and return when its health route answers 2xx.

        Raises:
            ContainerError: it ended, or was not healthy in time.
        """
        image = self._images[container.entry]
        (port,) = ports.choose({}, [container.name]).values()
        argv, variables = self._filled(image, container.account or image.service_account, port)
        launch = Launch(
            name=f"{image.name}/{container.name}",
            argv=argv,
            env={
                **environment.inherited(own_identity=self._stack.iam is not None),
                **variables,
                **container.env,
                "AIP_HTTP_PORT": str(port),
            },
            folder=self._stack.root,
            port=port,
            ready=container.health_route,
            ready_timeout_s=image.ready_timeout_s,
        )
        log = ProcessLog(launch.name, self._logs / f"{container.name}.log", self._console, self._stack.retention.log_mb)
        process = ServiceProcess(launch, log, self._console, self._reaper)
        try:
            await process.start()
        except (StartError, OSError) as error:
            raise ContainerError(str(error)) from error
        except BaseException:
            await process.stop()
            raise
        return ModelServer(process)

    def _filled(self, image: ContainerImage, account: str, port: int) -> tuple[list[str], dict[str, str]]:
        """The command and the variables of an image."""
        values = {**self._values_of(account), "port": str(port)}
        place = f"{self._stack.path}: containers.{image.name}"
        argv = environment.filled(place, environment.command(image.command), values)
        return argv, environment.filled_variables(place, {**self._stack.env, **image.env}, values)
