"""Fixtures of the emulator's tests."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import grpc.aio
import pytest

from emulator.pubsub import PubSub
from tests.emulator.manual_clock import ManualClock


class Background:
    """An event loop in a thread, for tests that use Google's blocking clients."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def background() -> Iterator[Background]:
    loop = Background()
    yield loop
    loop.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pubsub_host(background: Background, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Pub/Sub in memory behind gRPC, where the official clients look for an emulator."""

    async def start() -> tuple[PubSub, grpc.aio.Server, int]:
        pubsub = PubSub()
        await pubsub.start()
        server = grpc.aio.server()
        pubsub.add_to_server(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return pubsub, server, port

    pubsub, server, port = background.run(start())
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
    yield f"127.0.0.1:{port}"
    background.run(server.stop(0))
    background.run(pubsub.stop())
