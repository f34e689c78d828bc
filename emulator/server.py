"""The laptop's cloud in this process: every API on one HTTP port and one gRPC port, and event delivery."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.stack import Stack


class Emulator:
    """Storage, Pub/Sub, Eventarc and Workflows on loopback; an async context manager.

    It starts no process: `services` says where those of the stack listen.

    Args:
        stack: what exists from the start.
        data: folder of the state, or None to keep all of it in memory.
        services: service name → URL, for every service of the stack.
        http_port: 0 takes a free one.
        grpc_port: 0 takes a free one.

    Attributes:
        http: `host:port` of Storage, Pub/Sub and Workflows over REST.
        grpc: `host:port` of Pub/Sub and Workflows over gRPC.
    """

    def __init__(
        self,
        stack: Stack,
        data: Path | None = None,
        *,
        services: Mapping[str, str],
        http_port: int = 0,
        grpc_port: int = 0,
    ) -> None:
        self.stack, self.data, self.services = stack, data, services
        self.http, self.grpc = f"127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}"

    def hold(self, service: str) -> None:
        """Keep events for this service back; they wait, and no attempt is spent on them."""

    def release(self, service: str) -> None:
        """Deliver to this service."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the ports and the stores."""
