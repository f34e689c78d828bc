"""Without its pipeline the console says so, shows what it knows, and goes on once the pipeline is back."""

import time
from pathlib import Path

from starlette.testclient import TestClient

from console.app import application
from console.index.store import Index
from event_inference import Client
from event_inference.targets import Target
from tests.console.conftest import PORT


def test_a_silent_pipeline_is_said_on_the_list(tmp_path: Path) -> None:
    client = Client(target=Target.laptop(origin="test", http="127.0.0.1:1", grpc="127.0.0.1:1"))
    index = Index(tmp_path / "index.sqlite")
    row = {"document": "a.txt/1", "name": "a.txt", "state": "succeeded", "folder": "results"}
    index.put([row | {"received": 1.0, "changed": 1.0}])
    with TestClient(application(client, index, PORT), base_url=f"http://127.0.0.1:{PORT}") as pages:
        give_up = time.monotonic() + 20
        while "does not answer" not in (page := pages.get("/").text) and time.monotonic() < give_up:
            time.sleep(0.02)
        assert "Start it with: einf local up" in page
        assert "a.txt" in page
        answer = pages.get("/input?document=a.txt/1")
        assert answer.status_code == 503
        assert "The pipeline does not answer" in answer.text
