"""A console over the emulator's APIs, without services and without its refreshing thread."""

from asyncio import AbstractEventLoop
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from console.app import application
from console.index.refresh import Refresher
from console.index.store import Index
from event_inference.targets import Target
from tests.event_inference.conftest import Emulated, emulated
from tests.event_inference.conftest import loop as shared_loop

PORT = 9030
loop = shared_loop


@dataclass
class Opened:
    """The console's pages, the pipeline behind them, and the index between."""

    pages: TestClient
    laptop: Emulated
    index: Index
    refresher: Refresher
    token: str

    def get(self, path: str, **headers: str) -> Any:
        return self.pages.get(path, headers=headers)

    def post(self, path: str, **fields: Any) -> Any:
        return self.pages.post(path, data=fields, headers={"x-console-token": self.token})

    def upload(self, name: str, content: bytes, media_type: str = "text/plain") -> int:
        """Put an object into the input bucket, past the console; returns its generation."""
        blob = self.laptop.client.connection.input.blob(name)
        blob.upload_from_string(content, media_type)
        return int(blob.generation)


@pytest.fixture
def console(loop: AbstractEventLoop, tmp_path: Path) -> Iterator[Opened]:
    with emulated(loop, tmp_path, Target.laptop(origin="test", http="", grpc="")) as laptop:
        index = Index()
        app = application(laptop.client, index, PORT)
        pages = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False)
        token = pages.get("/").text.partition('name="console-token" content="')[2].partition('"')[0]
        yield Opened(pages, laptop, index, app.state.console.refresher, token)
        index.close()
