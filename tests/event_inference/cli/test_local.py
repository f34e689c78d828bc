"""`einf local`: where the checkout is, a shell that fails closed, and the logs."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from event_inference import TargetError, checkout
from event_inference.errors import UNREACHABLE, USAGE
from tests.event_inference.conftest import ROOT, Ended, Run

Invoke = Callable[..., Ended]
LINES = [
    {"severity": "INFO", "message": "accepted", "job": "j1", "time": "2026-01-01T12:00:00Z"},
    {"severity": "ERROR", "message": "failed", "job": "j2", "code": "internal"},
]


def an_empty_checkout(folder: Path) -> Path:
    (folder / "deploy" / "local").mkdir(parents=True)
    (folder / "deploy" / "local" / "stack.yaml").write_text("{}")
    return folder


def test_the_checkout_is_named_around_the_folder_or_that_of_the_package(tmp_path: Path):
    named, inside = an_empty_checkout(tmp_path / "named"), an_empty_checkout(tmp_path / "around") / "a" / "b"
    inside.mkdir(parents=True)
    assert checkout.find(inside, {"EINF_REPOSITORY": str(named)}) == named
    assert checkout.find(inside, {}) == tmp_path / "around"
    assert checkout.find(tmp_path, {}) == ROOT
    with pytest.raises(TargetError, match="EINF_REPOSITORY"):
        checkout.find(inside, {"EINF_REPOSITORY": str(tmp_path)})
    assert checkout.data(tmp_path / "around", inside) == tmp_path / "around" / ".local"
    assert checkout.data(tmp_path / "around", tmp_path) == tmp_path / ".local"


def test_the_environment_of_the_checkout_is_used(tmp_path: Path):
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert checkout.python(tmp_path) == str(python)


@pytest.mark.parametrize("where", ["nowhere", "checkout"])
def test_the_lines_for_a_shell_fail_closed_without_a_stack(einf: Run, tmp_path: Path, where: str):
    """No command of this shell may reach the cloud that gcloud is set to."""
    repository = tmp_path / "nowhere" if where == "nowhere" else ROOT
    ended = einf("local", "env", env={"EINF_REPOSITORY": str(repository)})
    assert ended.returncode == UNREACHABLE
    assert "lead nowhere, not to a cloud" in ended.stderr
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", ended.stdout, re.MULTILINE))
    assert exported["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:1"
    assert exported["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"].startswith("http://127.0.0.1:1/")
    shell = exported | {"CLOUDSDK_CORE_PROJECT": "my-project-123"}
    refused = einf("submit", "-", input="x", env=shell)
    assert refused.returncode == UNREACHABLE
    assert "cloud project" not in refused.stderr


@pytest.mark.parametrize("command", [["up"], ["env"], ["clean", "--yes"], ["debug", "on-upload"]])
def test_without_a_checkout_it_says_what_to_do(einf: Run, tmp_path: Path, command: list[str]):
    ended = einf("local", *command, env={"EINF_REPOSITORY": str(tmp_path)})
    assert ended.returncode in (USAGE, UNREACHABLE)
    assert "not a checkout of the pipeline's repository" in ended.stderr.replace("is not a", "not a")


def test_the_emulators_options_are_passed_on(einf: Run, tmp_path: Path):
    """A checkout whose interpreter shows what it was called with."""
    root = an_empty_checkout(tmp_path / "root")
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$PWD" "$MODELS" "$@"\n')
    python.chmod(0o755)
    models = tmp_path / "models.json"
    models.write_text("{}")
    env = {"EINF_REPOSITORY": str(root)}
    up = einf("local", "up", "--watch", "--models", str(models), "--data", str(tmp_path / "data"), env=env)
    assert up.stdout.split() == [
        str(root), str(models), "-m", "emulator", "up", "--data", str(tmp_path / "data"), "--watch",
    ]  # fmt: skip
    debug = einf("local", "debug", "on-upload", env=env)
    assert debug.stdout.split()[1:] == ["-m", "emulator", "debug", "--data", str(tmp_path / "work/.local"), "on-upload"]


def test_status_without_a_stack(invoke: Invoke):
    ended = invoke("local", "status")
    assert (ended.status, ended.out) == (UNREACHABLE, "")
    assert "einf local up" in ended.err


def test_logs_of_chosen_services(invoke: Invoke):
    logs = Path(".local/logs")
    logs.mkdir(parents=True)
    (Path(".local") / "ports.json").write_text("{}")
    (logs / "on-upload.log").write_text("".join(json.dumps(line) + "\n" for line in LINES) + '{"half')
    (logs / "forecast.log").write_text("started\nValueError: the point\n")
    both = invoke("local", "logs").out.splitlines()
    assert [line.split()[0] for line in both] == ["forecast", "forecast", "on-upload", "on-upload"]
    assert "12:00:00  INFO     accepted  job=j1" in both[2]
    errors = invoke("local", "logs", "--errors").out.splitlines()
    assert [line.split()[0] for line in errors] == ["forecast", "on-upload"]
    assert invoke("local", "logs", "on-upload", "--job", "j2", "--json").json == [LINES[1]]
    assert len(invoke("local", "logs", "-n", "1").out.splitlines()) == 2
    assert "Did you mean on-upload?" in invoke("local", "logs", "on-uplaod").err
