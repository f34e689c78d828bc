"""What the pages offer to copy runs as it stands: einf, Python, and gcloud."""

import html
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator.cli import gcloud
from event_inference.cli import run as einf
from tests.console.conftest import Opened
from tests.event_inference.conftest import ROOT, local_environment

_COPY = re.compile(r'<dt>(einf|gcloud|Python)</dt><dd><code>[^<]*</code><button[^>]*data-copy="([^"]*)"')
NAME = "it's a film.txt"
Lines = list[tuple[str, str]]


@pytest.fixture
def lines(console: Opened) -> Lines:
    """Everything that can be copied from the pages of a pipeline with one input of each fate."""
    laptop = console.laptop
    generation = console.upload(NAME, b"A film.")
    laptop.document("results", NAME, generation)
    laptop.document("rejected", "empty.txt")
    for name in ("late.txt", "later.txt"):
        laptop.document("failed", name)
    console.upload("lost.txt", b"x")
    traffic = {"sentiment": {"stable": "1", "candidate": "2", "share": 0.1, "mode": "split", "experiment": "e"}}
    bucket = laptop.client.connection.storage.bucket(laptop.target.models_bucket)
    bucket.blob("traffic.json").upload_from_string(json.dumps(traffic))
    console.refresher.refresh()

    def page(path: str, **parameters: Any) -> str:
        return str(console.pages.get(path, params=parameters).text)

    pages = [
        page("/", prefix="it", kind="text", label="POSITIVE", below="0.995", since="2020-01-01", until="2099-12-31"),
        page("/", state="failed", code="http_503", since="2020-01-01T00:00"),
        page("/", state="rejected"),
        page("/input", document=f"{NAME}/{generation}"),
        page("/input", document=_document(console, "lost.txt")),
        page("/problems", name="lost.txt"),
        page("/review"),
        page("/models"),
        console.post("/problems/replay", state="failed").text,
        console.post("/problems/replay", document=["late.txt/1", "later.txt/1"]).text,
        console.post("/problems/replay", code="http_503", since="2020-01-01", until="2099-12-31").text,
        console.post("/input/again", name=NAME, top_k="1").text,
    ]
    found = [(form, html.unescape(line)) for text in pages for form, line in _COPY.findall(text)]
    assert len(found) > 36
    return list(dict.fromkeys(found))


def _document(console: Opened, name: str) -> str:
    (row,) = console.index.rows("SELECT document FROM inputs WHERE name = ?", (name,))
    document: str = row["document"]
    return document


@pytest.fixture
def shell(console: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user whose shell points at the laptop, with something to send."""
    for name in os.environ:
        if name.startswith(("EINF_", "CLOUDSDK_", "GOOGLE_")):
            monkeypatch.delenv(name)
    for name, value in local_environment(console.laptop).items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "shell"
    (folder / "my-folder").mkdir(parents=True)
    (folder / "my-folder" / "a.txt").write_text("A film.")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


def test_lines_of_the_command_run(lines: Lines, shell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = [line for form, line in lines if form == "einf" and "|" not in line]
    for line in copied:
        for command in line.replace(" --wait", " ").split(" && "):
            assert einf(shlex.split(command)[1:]) == 0, f"{command}: {capsys.readouterr().err}"
    assert (shell / "failed.csv").read_text("utf-8-sig").count("\n") == 3


def test_lines_of_python_run(lines: Lines, shell: Path, console: Opened) -> None:
    assert shell.is_dir()
    for line in [line for form, line in lines if form == "Python"]:
        exec(line, {})
    replays = [order["replay"] for order in console.laptop.orders() if "replay" in order]
    assert {"prefix": "later.txt/1"} in replays
    assert {"limit": 2} in replays
    blob = console.laptop.client.connection.input.get_blob(NAME)
    assert blob is not None
    assert blob.metadata == {"top_k": "1"}


def test_orders_are_the_same_in_every_form(lines: Lines, shell: Path, console: Opened) -> None:
    """What Python publishes is what gcloud publishes."""
    assert shell.is_dir()
    copied = [line for form, line in lines if "replay" in line or "sweep" in line or " label " in line]
    published: list[Any] = []
    for line in copied:
        if line.startswith("gcloud"):
            published += [json.loads(shlex.split(part)[-1].partition("=")[2]) for part in line.split(" && ")]
    for form, line in lines:
        if line in copied and form == "Python":
            exec(line, {})
    sent = [order for order in console.laptop.orders() if "promote" not in order]
    assert [order for order in published if "promote" not in order] == sent


@pytest.mark.gcloud
def test_lines_run_in_a_shell(lines: Lines, shell: Path, console: Opened) -> None:
    """Also those with a pipe, by the real gcloud."""
    commands = shell / "bin"
    commands.mkdir()
    (commands / "einf").write_text(f'#!/bin/sh\nexec {sys.executable} -m event_inference "$@"\n')
    (commands / "einf").chmod(0o755)
    gcloud.configure(shell / "gcloud", console.laptop.http)
    environ = os.environ | {
        "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "CLOUDSDK_CONFIG": str(shell / "gcloud"),
        "CLOUDSDK_CORE_PROJECT": console.laptop.target.project, "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
    }  # fmt: skip
    for line in [line for form, line in lines if form != "Python" and "--wait" not in line]:
        done = subprocess.run(["bash", "-c", line], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
