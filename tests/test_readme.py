"""The commands of the README work: its shell blocks run against a local stack."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emulator import ports
from emulator.process import Stack

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LIVE = [block for block in BLOCKS if "emulator env" in block and "--port" not in block]  # servers run by themselves
CLIENT = [block for block in BLOCKS if re.search(r"^(einf|python -) ", block, re.MULTILINE)]
BY_HAND = ("git clone", "make ", "source ")  # lines that a new user runs first
SERVERS = re.findall(r"^.* --port \d+$", "\n".join(BLOCKS), re.MULTILINE)
TARGETS = sorted(set(re.findall(r"\bmake ([a-z-]+)", "\n".join(BLOCKS))))
OWN_MODEL = [block for block in BLOCKS if "make local MODELS=" in block]
assert LIVE, "no shell block of the README would be run"
assert CLIENT, "no command of einf in the README would be run"
assert SERVERS, "no server of the README would be started"
assert TARGETS, "no make target of the README would be checked"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a second terminal while `make local` runs in the first."""
    data = tmp_path_factory.mktemp("readme")
    with Stack(data) as stack:
        stack.start()
        command = [sys.executable, "-m", "emulator", "env", "--data", str(data)]
        exports = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        pairs = re.findall(r"^export (\w+)=(.*)$", exports, re.MULTILINE)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        yield {**os.environ, **dict(pairs), "PATH": path, "ON_MESSAGE_URL": stack.addresses["services"]["on-message"]}


@pytest.mark.long
@pytest.mark.stack
@pytest.mark.timeout(240)
@pytest.mark.parametrize("block", LIVE, ids=range(len(LIVE)))
def test_a_block_for_a_running_stack_succeeds(block: str, shell: dict[str, str]):
    if "gcloud" in block and not shutil.which("gcloud"):
        pytest.skip("gcloud is not installed, so this block of the README was not run")
    lines = [line for line in block.splitlines() if "emulator env" not in line]
    script = "\n".join(lines).replace("http://127.0.0.1:9022", shell["ON_MESSAGE_URL"])
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=shell, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.stack
@pytest.mark.timeout(240)
@pytest.mark.parametrize("block", CLIENT, ids=range(len(CLIENT)))
@pytest.mark.long
def test_a_block_with_the_client_succeeds(block: str, shell: dict[str, str], tmp_path: Path):
    einf = tmp_path / "einf"  # as `make setup` installs it
    einf.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m event_inference "$@"\n')
    einf.chmod(0o755)
    lines = [line for line in block.splitlines() if not line.startswith(BY_HAND)]
    script = "\n".join(lines).replace("pictures.csv", str(tmp_path / "pictures.csv"))
    env = shell | {"PATH": f"{tmp_path}{os.pathsep}{shell['PATH']}", "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    if "pictures.csv" in block:
        rows = list(csv.DictReader((tmp_path / "pictures.csv").read_text(encoding="utf-8-sig").splitlines()))
        assert {Path(row["input"]).name for row in rows} == {file.name for file in (ROOT / "samples/images").iterdir()}
        assert all(row["label"] for row in rows)


@pytest.mark.stack
@pytest.mark.parametrize("command", SERVERS)
def test_a_server_started_by_hand_answers(command: str, shell: dict[str, str]):
    port = ports.choose({}, ["server"])["server"]
    argv = shlex.split(re.sub(r"--port \d+", f"--port {port}", command))
    with subprocess.Popen(argv, cwd=ROOT, env=shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            wait_for_answer(server, f"http://127.0.0.1:{port}/")
        finally:
            server.terminate()


def wait_for_answer(server: subprocess.Popen[bytes], url: str) -> None:
    while True:
        assert server.poll() is None, server.stdout and server.stdout.read().decode()
        try:
            httpx.get(url)
        except httpx.ConnectError:
            time.sleep(0.1)
        else:
            return


@pytest.mark.long
@pytest.mark.stack
@pytest.mark.timeout(240)
def test_the_example_of_an_own_model_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (block,) = OWN_MODEL
    preparation, _, location = block.replace(".local/mine", str(tmp_path)).rpartition("make local MODELS=")
    subprocess.run(["bash", "-euo", "pipefail", "-c", preparation], cwd=ROOT, check=True)
    monkeypatch.setenv("MODELS", location.strip())
    monkeypatch.delenv("PROFILE", raising=False)
    with Stack(tmp_path / "state") as stack:
        stack.start()
        headers = {"Authorization": f"Bearer {stack.token('gpu-service')}"}
        answer = httpx.get(f"{stack.addresses['services']['gpu-service']}/models", headers=headers)
    assert [(model["name"], model["task"]) for model in answer.json()["models"]] == [("reviews", "text-classification")]


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_exists(target: str):
    assert subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_every_path_that_the_readme_names_exists():
    paths = re.findall(r"`((?:functions|gpu_service|emulator|deploy|samples|docs|tests|benchmarks)/[\w./-]*)`", README)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
