"""The environment of a deployed model's container, and the requests to it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


class ContainerError(Exception):
    """The container did not become healthy; the message says how it ended."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container to start.

    Args:
        name: of the container, for logs: `ENDPOINT-DEPLOYED_MODEL`.
        entry: the entry of the stack file that says which command serves the image.
        account: whose ports of the APIs it gets; "" for the entry's own.
        health_route: answers 200 once the model is ready.
        env: the variables that Vertex AI sets, without the port, and those of the model.
    """

    name: str
    entry: str
    account: str
    health_route: str
    env: Mapping[str, str]


class Server(Protocol):
    """A healthy container; `url` has no path."""

    @property
    def url(self) -> str: ...

    async def stop(self) -> None:
        """Stop it, letting it finish its requests."""

    def kill(self) -> None:
        """Kill it, so that `stop` returns soon."""


StartContainer = Callable[[Container], Awaitable[Server]]


async def start_nothing(container: Container) -> Server:
    """For an emulator that cannot start processes."""
    raise ContainerError(f"this emulator cannot start processes, so {container.entry} cannot run")
