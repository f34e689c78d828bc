"""The command starts quickly: help and completion load none of Google's clients."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from event_inference.cli.group import COMMANDS, einf
from tests.event_inference.conftest import ROOT, environment

HEAVY = {"google.auth", "google.api_core", "google.cloud.storage", "grpc", "requests", "rich", "duckdb", "asyncio"}
REPORT = """
import json, sys
from event_inference.cli import run
status = run(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def test_help_takes_less_than_100_ms_of_processor_time(tmp_path: Path):
    """The best of three, since caches are cold the first time."""
    best = min(_processor_seconds(tmp_path) for _ in range(3))
    assert best < 0.1, f"{best * 1000:.0f} ms"


def _processor_seconds(home: Path) -> float:
    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    command = [sys.executable, "-m", "event_inference", "--help"]
    subprocess.run(command, env=environment(home), stdout=subprocess.DEVNULL, check=True)
    return used() - before


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS), ["completion", "bash"]])
def test_help_loads_no_heavy_module(arguments: list[str], tmp_path: Path):
    command = [sys.executable, "-c", REPORT, *arguments]
    finished = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert finished.stdout
    assert HEAVY & set(json.loads(finished.stderr.splitlines()[-1])) == set()


def test_importing_the_package_loads_no_heavy_module():
    code = "import json, sys, event_inference; print(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert HEAVY & set(json.loads(finished.stdout)) == set()


def test_every_name_that_the_package_exports_exists():
    import event_inference

    assert all(getattr(event_inference, name) for name in event_inference.__all__)
    assert sorted(event_inference.__all__) == sorted(event_inference._MODULES)
    with pytest.raises(AttributeError):
        event_inference.nothing  # noqa: B018 - the access is the test


def test_every_command_loads_and_has_help():
    with einf.make_context("einf", [], resilient_parsing=True) as context:
        commands = {name: einf.get_command(context, name) for name in einf.list_commands(context)}
    assert all(command and command.help for command in commands.values())
