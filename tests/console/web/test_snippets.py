"""Lines to be copied into a terminal, whatever the input's name holds."""

import shlex
import subprocess
from dataclasses import astuple

import pytest

from console.web import snippets
from event_inference import Target

TARGET = Target.laptop(origin="test", http="", grpc="")
NAMES = ["plain.txt", "it's \\u0041 $(id) `id`.txt", "x\x1b[201~\x15touch 'owned\\'\x0f.txt", "ä\x7f\x9b\t\\.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_a_copied_line_has_nothing_that_a_terminal_obeys_and_means_the_same_name(name: str) -> None:
    made = snippets.status(TARGET, name, f"{name}/1", "results")
    assert all(line.isprintable() for line in astuple(made) + astuple(snippets.sweep(TARGET, name)))
    words = made.einf.removeprefix("einf status ")
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {words}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert printed.stdout.decode() == name


def test_an_ordinary_name_is_quoted_as_usual() -> None:
    assert snippets.status(TARGET, "a b.txt", "a b.txt/1", "").einf == f"einf status {shlex.quote('a b.txt')}"
