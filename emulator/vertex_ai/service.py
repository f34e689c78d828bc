"""Vertex AI as the server mounts it: the registry, endpoints, operations and predictions."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from starlette.routing import Route

from emulator.googleapi import rest
from emulator.googleapi.methods import methods
from emulator.stack.model import ContainerImage
from emulator.vertex_ai.containers import StartContainer, start_nothing
from emulator.vertex_ai.deployments import Deployments
from emulator.vertex_ai.endpoints import Endpoints
from emulator.vertex_ai.models import Models
from emulator.vertex_ai.operations import Operations
from emulator.vertex_ai.predictions import Predictions
from emulator.vertex_ai.store import Store


class VertexAI:
    """Models and endpoints of any project and location; between `start` and `stop` deployed models run.

    Args:
        path: the data folder, for `vertex.sqlite`, or None to keep the state in memory.
        images: which entry of the stack file serves which container image.
        accounts: the names of the stack's accounts by e-mail address.
        start_container: starts the container of a deployed model.
        now: nanoseconds since 1970.
    """

    def __init__(
        self,
        path: Path | None,
        images: Sequence[ContainerImage] = (),
        accounts: Mapping[str, str] | None = None,
        start_container: StartContainer = start_nothing,
        *,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = Store(path)
        self._operations = Operations(self._store, now)
        self.models = Models(self._store, self._operations, self._check_image, now)
        self.deployments = Deployments(
            self._store, self._operations, images, dict(accounts or {}), start_container, self.models.version, now
        )
        self.endpoints = Endpoints(self._store, self._operations, self.deployments, self.models.version, now)
        self._predictions = Predictions(self.deployments, self.endpoints.get, self.models.version)

    def _check_image(self, image: str) -> None:
        self.deployments.check_image(image)

    async def start(self) -> None:
        """Start the containers of deployed models, without waiting for them."""
        await self._predictions.start()
        await self.deployments.start()

    async def stop(self) -> None:
        """Stop every container; they run again after the next start."""
        await self.deployments.stop()
        await self._predictions.stop()

    def kill(self) -> None:
        """Kill every container, so that `stop` returns soon."""
        self.deployments.kill()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def routes(self) -> list[Route]:
        """The REST routes, each with its full path."""
        return [
            *self._predictions.routes(),
            *self._operations.routes(),
            *rest.routes([*methods(self.models), *methods(self.endpoints)]),
        ]
