"""docs/serving.md agrees with the service: settings, defaults and commands."""

import re
import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from gpu_service import settings

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
COMMANDS = re.findall(r"```sh\n(curl .+)\n```", PAGE)


def test_every_variable_is_in_the_table():
    read = set(re.findall(r'"([A-Z][A-Z_0-9]{3,})"', Path(settings.__file__).read_text()))
    rows = re.findall(r"^\| (`[A-Z].*?) \|", PAGE, re.MULTILINE)
    assert read <= set(re.findall(r"`(\w+)`", " ".join(rows)))


def test_the_documented_defaults_match_the_code():
    table = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", PAGE, re.MULTILINE))
    defaults = {field.name: field.default for field in fields(settings.Settings)}
    for variable, name in {
        "PROFILE": "profile", "HOST": "host", "PORT": "port", "DEVICE": "device", "DTYPE": "dtype",
        "MAX_QUEUE": "max_queue", "MAX_WAIT_SECONDS": "max_wait_s", "MAX_BATCH_SECONDS": "max_batch_s",
        "DEADLINE_SECONDS": "deadline_s", "DRAIN_SECONDS": "drain_s", "K_REVISION": "revision",
    }.items():  # fmt: skip
        assert table[variable] == str(defaults[name])


@pytest.fixture(scope="module")
def address(serve_long: Callable[..., Any]) -> Any:
    server = serve_long("--profile", "starter", "--models", str(settings.MODELS_FILE))
    server.wait_until_ready()
    return server.http


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_answered(address: Any, command: str):
    _, _, target, *data = shlex.split(command)
    path = "/" + target.partition("/")[2]
    answer = address.post(path, content=data[1]) if data else address.get(path)
    assert answer.status_code == 200
    assert '"error":{' not in answer.text


def test_the_commands_are_recognised():
    assert len(COMMANDS) >= 7
