"""`einf open`: the address of a local stack's console, and the program that serves a cloud's."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from event_inference.cli.session import Session
from event_inference.errors import SUCCEEDED, UNREACHABLE
from event_inference.targets import Request
from tests.event_inference.conftest import Emulated, Ended, local_environment

Invoke = Callable[..., Ended]


def running(laptop: Emulated, folder: Path, **services: str) -> Path:
    """The state of a local stack whose APIs are the laptop's."""
    state = folder / ".local"
    state.mkdir()
    addresses = {"http": laptop.http, "grpc": laptop.grpc, "project": "local-project", "location": "us-central1"}
    content = {**addresses, "env": {}, "services": services, "pid": os.getpid()}
    (state / "addresses.json").write_text(json.dumps(content))
    return state


def test_the_address_of_the_console_and_of_what_a_name_finds(invoke: Invoke, laptop: Emulated, tmp_path: Path):
    state = running(laptop, tmp_path, console="http://127.0.0.1:9030")
    ended = invoke("open", "--print", "--local", str(state))
    assert (ended.status, ended.out) == (SUCCEEDED, "http://127.0.0.1:9030\n")
    assert invoke("open", "a b/ü", "--print", "--local", str(state)).out == "http://127.0.0.1:9030/?q=a+b%2F%C3%BC\n"


def test_a_stack_without_a_console(invoke: Invoke, laptop: Emulated):
    ended = invoke("open", "--print", env=local_environment(laptop))
    assert ended.status == UNREACHABLE
    assert "does not say where its console is" in ended.err


def test_the_options_reach_the_console_of_a_cloud():
    session = Session(Request(project="my-project-123", service_prefix="mine"), yes=False)
    assert session.options == ["--project", "my-project-123", "--service-prefix", "mine"]
