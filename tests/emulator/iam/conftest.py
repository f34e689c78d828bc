"""The stack, running in memory, and the official clients as its accounts."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from emulator.server import Emulator
from tests.emulator.conftest import Background
from tests.emulator.iam.stack import stack

Bucket = Callable[..., storage.Bucket]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    loop, folder = Background(), tmp_path_factory.mktemp("iam")

    async def start() -> Emulator:
        described = stack(folder)
        urls = {service.name: f"http://127.0.0.1:{40 + number}" for number, service in enumerate(described.services)}
        emulator = Emulator(described, services=urls)
        await emulator.__aenter__()
        return emulator

    emulator = loop.run(start())
    emulator.storage.objects.create("files", "kept", b"data")
    yield emulator
    loop.run(emulator.close())
    loop.close()


@pytest.fixture
def bucket(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., storage.Bucket]:
    def of(account: str, name: str = "files") -> storage.Bucket:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{running.accounts[account].http}")
        return storage.Client(project="p", credentials=AnonymousCredentials()).bucket(name)

    return of


@pytest.fixture
def pubsub(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], Any]:
    def of(account: str, client: Any) -> Any:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", running.accounts[account].grpc)
        return client()

    return of
