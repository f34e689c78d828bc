"""A store behind a real server on a free port, and the official client for it."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from emulator.storage import Store, app


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.close()


@pytest.fixture
def address(store: Store) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app(store), log_level="critical", timeout_graceful_shutdown=1))
        started = threading.Event()
        startup = server.startup

        async def announce(sockets: list[socket.socket] | None = None) -> None:
            await startup(sockets)
            started.set()

        server.startup = announce  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert started.wait(10)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(address: str, monkeypatch: pytest.MonkeyPatch) -> storage.Client:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    return storage.Client(project="local-project", credentials=AnonymousCredentials())


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    return client.create_bucket("bucket-1")


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as http:
        yield http
