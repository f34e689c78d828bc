"""Installed by uv and by pipx into an empty environment, the command works and brings nothing of the pipeline."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.event_inference.conftest import Emulated, local_environment

ROOT = Path(__file__).parents[2]
UNWANTED = ("torch", "transformers", "starlette", "functions_framework", "pandas")

pytestmark = [pytest.mark.release, pytest.mark.timeout(600)]


def source(folder: Path) -> Path:
    """What is committed and what git does not ignore, so that nothing is built into the working tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name.startswith(("event_inference/", "pyproject.toml")) and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


@pytest.mark.parametrize("installer", ["uv", "pipx"])
def test_an_installed_command_sends_and_reads(installer: str, laptop: Emulated, tmp_path: Path):
    program = shutil.which(installer) or shutil.which(installer, path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip(f"{installer} is not installed, so einf was not installed by it")
    binaries, home = tmp_path / "bin", tmp_path / "home"
    home.mkdir()
    # The developer's home stays for the installers' configuration, such as an index or certificates.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("EINF_", "PIPX_", "VIRTUAL_ENV"))}
    env |= {
        "UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(binaries), "UV_PYTHON": sys.executable,
        "UV_SYSTEM_CERTS": "1", "PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(binaries),
        "PIPX_DEFAULT_PYTHON": sys.executable,
    }  # fmt: skip
    command = [program, "tool", "install", "."] if installer == "uv" else [program, "install", "."]
    installed = subprocess.run(
        command, cwd=source(tmp_path / "source"), env=env, capture_output=True, text=True, check=False
    )
    assert installed.returncode == 0, installed.stderr

    def einf(*arguments: str) -> str:
        finished = subprocess.run(
            [binaries / "einf", *arguments],
            cwd=home,
            env=env | local_environment(laptop) | {"HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    (home / "a.txt").write_text("A wonderful film.")
    assert einf("submit", "a.txt") == "1 sent\n"
    laptop.document("results", "a.txt", laptop.client.find("a.txt").generation)
    assert einf("status", "a.txt").split()[-4:-1] == ["POSITIVE", "0.99", "2.00"]
    assert einf("--version") == "einf 0.1.0\n"
    packages = {path.name for path in (binaries / "einf").resolve().parent.parent.glob("lib/python*/site-packages/*")}
    assert "event_inference" in packages
    assert packages.isdisjoint(UNWANTED)
    assert packages.isdisjoint({"emulator", "functions", "gpu_service", "deploy", "tests", "pipeline"})
