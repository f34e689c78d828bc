"""docs/cli.md names every command, variable, column, exit status and public name."""

import inspect

import click
import pytest

import event_inference
from event_inference import errors
from event_inference.cli.group import COMMANDS, einf
from event_inference.cli.output import COLUMNS
from event_inference.reader import Reader
from tests.event_inference.conftest import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described(name: str):
    rows = [line for line in PAGE.splitlines() if line.startswith("| `einf")]
    assert any(f"`einf {name}" in row or f"`{name}`" in row for row in rows)
    with einf.make_context("einf", [], resilient_parsing=True) as context:
        command = einf.get_command(context, name)
    if isinstance(command, click.Group):
        assert all(f"`{inner}`" in PAGE or f"{name} {inner}`" in PAGE for inner in command.commands)


def test_every_exit_status_is_described():
    statuses = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert all(f"\n| {status} |" in PAGE for status in statuses)


def test_every_column_and_public_name_is_described():
    assert [name for name in COLUMNS if f"`{name}`" not in PAGE] == []
    assert [name for name in event_inference.__all__ if f"`{name}`" not in PAGE and name not in PAGE] == []


def test_every_method_of_the_client_is_described():
    methods = [name for name, _ in inspect.getmembers(event_inference.Client, callable) if not name.startswith("_")]
    assert issubclass(event_inference.Client, Reader)
    rare = {"close", "confirm_change", "document", "handle", "order", "place", "save", "status_of"}
    assert [name for name in methods if f"`{name}(" not in PAGE and name not in rare] == []
