"""The examples in the help have the output that they show, against a whole local stack."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from emulator.process import Stack
from event_inference.cli.group import COMMANDS, einf
from tests.event_inference.conftest import ROOT, environment

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def examples() -> Iterator[tuple[str, str]]:
    """Each example's command line and its output, those that send something first."""
    with einf.make_context("einf", [], resilient_parsing=True) as context:
        found = [einf.get_command(context, name) for name in COMMANDS]
        inner = [each for command in found if isinstance(command, click.Group) for each in command.commands.values()]
        for command in (*found, *inner):
            text = getattr(command, "examples", "")
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, output = part.partition("\n")
                yield line, output.rstrip("\n")


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment of a shell with einf, and a folder with the samples."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "samples").symlink_to(ROOT / "samples")
    (folder / "my-model").symlink_to(ROOT / "gpu_service/models/sentiment")
    program = folder / "bin" / "einf"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m event_inference "$@"\n')
    program.chmod(0o755)
    with Stack(folder / ".local") as stack:
        stack.start()
        env = environment(folder)
        yield env | {"PATH": f"{program.parent}{os.pathsep}{env['PATH']}"}, folder


@pytest.mark.release
def test_every_example_has_the_output_that_it_shows(shell: tuple[dict[str, str], Path]):
    """In order, since later examples read what earlier ones sent."""
    assert len(EXAMPLES) > 10
    env, folder = shell
    for line, expected in EXAMPLES:
        command = ["bash", "-c", line]
        finished = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert finished.returncode in (0, 3), f"{line}\n{finished.stderr}"
        pattern = ".*".join(re.escape(part) for part in expected.split("…"))
        assert re.fullmatch(pattern, finished.stdout.rstrip("\n"), re.DOTALL), f"$ {line}\n{finished.stdout}"
