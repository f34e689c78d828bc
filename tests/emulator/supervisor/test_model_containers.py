"""The processes that stand for containers of deployed models."""

import json
from pathlib import Path

import httpx
import pytest

from emulator.stack import loader
from emulator.stack.model import StackError
from emulator.supervisor.console import Console
from emulator.supervisor.model_containers import ModelContainers
from emulator.supervisor.reaper import Reaper
from emulator.vertex_ai import Container, ContainerError
from tests.emulator.conftest import Background

SERVER = """
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == os.environ["AIP_HEALTH_ROUTE"] else 404)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())
    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""
STACK = """
env: {A: "{http}", B: stack}
containers:
  model: {image: "*", command: [python, %s], service_account: server, env: {B: image}, ready_timeout_s: 20}
"""


def containers(folder: Path, reaper: Reaper, source: str) -> ModelContainers:
    script, stack = folder / "server.py", folder / "stack.yaml"
    script.write_text(source)
    stack.write_text(STACK % script)
    started = ModelContainers(loader.load(stack), folder, Console(), reaper)
    started.prepare(lambda account: {"http": f"{account}:1"})
    return started


def container(account: str = "") -> Container:
    return Container("e-1", "model", account, "/healthy", {"AIP_HEALTH_ROUTE": "/healthy"})


def test_a_process_serves_until_it_is_stopped(tmp_path: Path, background: Background) -> None:
    with Reaper() as reaper:
        images = containers(tmp_path, reaper, SERVER)
        server = background.run(images.start(container("other")))
        variables = json.loads(httpx.get(f"{server.url}/healthy").text)
        assert (variables["A"], variables["B"]) == ("other:1", "image")
        assert f":{variables['AIP_HTTP_PORT']}" in server.url
        background.run(server.stop())
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/healthy")


def test_a_process_that_ends_says_how(tmp_path: Path, background: Background) -> None:
    with Reaper() as reaper:
        images = containers(tmp_path, reaper, "print('no such model')\nraise SystemExit(3)")
        with pytest.raises(ContainerError, match=r"it ended with status 3\nno such model"):
            background.run(images.start(container()))


def test_an_unknown_placeholder_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text('containers: {m: {image: "*", command: [python, "{nobody.url}"], service_account: s}}')
    with Reaper() as reaper, pytest.raises(StackError, match=rf"{file}: containers.m: unknown placeholder"):
        ModelContainers(loader.load(file), tmp_path, Console(), reaper).prepare(lambda _: {"http": "127.0.0.1:1"})
