"""The service that the emulator mounts: both Workflows APIs and the executions that they start."""

from collections.abc import Mapping
from pathlib import Path

import grpc.aio
from starlette.routing import Route


class Workflows:
    """Everything that the emulator's server needs of Cloud Workflows.

    Args:
        path: the data folder (``workflows.sqlite`` lies in it), or None to keep everything in memory.
        project: default project of deployed workflows.
        location: default location of deployed workflows.
        base_url: ``http://host:port`` of the emulator, for callback URLs and the connectors.
    """

    def __init__(self, path: Path | None, *, project: str, location: str, base_url: str) -> None:
        self.path, self.project, self.location, self.base_url = path, project, location, base_url

    async def start(self) -> None:
        """Open the store and run again what was interrupted."""

    async def stop(self) -> None:
        """Stop every execution where it is (it stays ACTIVE and runs again after a start) and close the store."""

    def routes(self) -> list[Route]:
        """The REST routes, each with its full path from ``/v1``."""
        return []

    def add_to_server(self, server: grpc.aio.Server) -> None:
        """Register the gRPC services Executions, Workflows and google.longrunning.Operations."""

    def deploy(self, name: str, source: str, env: Mapping[str, str], *, service_account: str = "") -> str:
        """Create or update the workflow ``name`` and return its revision id.

        An unchanged source, environment and service account keep the revision that is there.

        Raises:
            ApiError: the source or the environment is refused.
        """
        raise NotImplementedError((name, source, env, service_account))
