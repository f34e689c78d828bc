"""The same console on a cloud: with the user's credentials, without what only the laptop has, and after an outage."""

from asyncio import AbstractEventLoop
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from console.app import application
from console.index.store import Index
from event_inference import Client, UnreachableError
from event_inference.targets import Target
from tests.console.conftest import PORT, Opened
from tests.event_inference import cloud as stand_in
from tests.event_inference.cloud import PROJECT, TokenCloud
from tests.event_inference.conftest import Emulated, cloud_environment, emulated


@pytest.fixture
def deployed(loop: AbstractEventLoop, tmp_path: Path) -> Iterator[Emulated]:
    with emulated(
        loop, tmp_path, Target.cloud(origin="test", project=PROJECT, names={"workflow": "inference"})
    ) as running:
        yield running


@pytest.fixture
def cloud(deployed: Emulated, tmp_path: Path) -> Iterator[TokenCloud]:
    with stand_in.serving(deployed.http, deployed.grpc, tmp_path) as serving:
        yield serving


@pytest.fixture
def console(deployed: Emulated, cloud: TokenCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    for name, value in cloud_environment(cloud, tmp_path).items():
        monkeypatch.setenv(name, value)
    index = Index()
    app = application(Client(context="standin"), index, PORT)
    pages = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False)
    token = pages.get("/").text.partition('name="console-token" content="')[2].partition('"')[0]
    yield Opened(pages, deployed, index, app.state.console.refresher, token)
    index.close()


def test_a_cloud_is_read_with_the_users_credentials(console: Opened, cloud: TokenCloud) -> None:
    console.laptop.document("results", "a.txt")
    console.laptop.document("failed", "b.txt", lineage={"event_id": "1", "execution": "e1"})
    console.refresher.refresh()
    assert cloud.calls
    assert cloud.refused == []
    page = console.get("/").text
    assert f"cloud project {PROJECT}" in page
    assert "what you send costs money" in page
    for row in console.index.rows("SELECT document FROM inputs"):
        page = console.pages.get("/input", params={"document": row["document"]}).text
        assert "https://console.cloud.google.com/logs/query" in page
        assert "only kept on the laptop" in page
    assert "https://console.cloud.google.com/eventarc/triggers" in console.get("/events").text
    assert "No dead letters" in console.get("/events").text


def test_a_cloud_lists_its_dead_letters(console: Opened) -> None:
    error = {"code": "undeliverable", "message": "The event was delivered 100 times.", "step": "deliver"}
    console.laptop.document("failed", "lost.txt", error=error)
    console.refresher.refresh()
    assert "The event was delivered 100 times." in console.get("/events").text


def test_a_cloud_is_changed_by_its_console(console: Opened) -> None:
    console.laptop.document("failed", "b.txt")
    console.refresher.refresh()
    console.post("/problems/replay/confirmed", document="b.txt/1")
    assert console.laptop.orders() == [{"replay": {"prefix": "b.txt/1"}}]


def test_a_cloud_that_nobody_named_is_not_changed(console: Opened, tmp_path: Path) -> None:
    configuration = tmp_path / "config.toml"
    configuration.write_text('current = "standin"\n' + configuration.read_text())
    index = Index()
    app = application(Client(), index, PORT)
    pages = TestClient(app, base_url=f"http://127.0.0.1:{PORT}")
    token = pages.get("/").text.partition('name="console-token" content="')[2].partition('"')[0]
    answer = pages.post("/problems/sweep", data={"name": "a"}, headers={"x-console-token": token, "hx-request": "true"})
    assert answer.status_code == 400
    assert "which was not named" in answer.text
    assert console.laptop.orders() == []
    index.close()


def test_a_missing_role_is_said(console: Opened, cloud: TokenCloud) -> None:
    cloud.denied.append("storage")
    with pytest.raises(UnreachableError, match="refuses you"):
        console.refresher.refresh()
    cloud.denied.append("Publish")
    answer = console.post("/problems/sweep", name="a")
    assert answer.status_code == 503
    assert "einf doctor says which role is missing" in answer.text
