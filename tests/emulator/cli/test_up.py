"""The ports that follow from the stack file and the options."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from emulator.cli.up import port_numbers
from emulator.stack.loader import load
from emulator.stack.model import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    file = tmp_path / "stack.yaml"
    file.write_text("ports: {http: 21, grpc: 22}\nservices: {a: {command: [x], port: 31}, b: {command: [x]}}")
    return load(file)


def options(data: Path, **given: Any) -> argparse.Namespace:
    unset = {"http_port": None, "grpc_port": None, "port_base": None, "free_ports": False}
    return argparse.Namespace(data=data, **{**unset, **given})


def test_ports_come_from_the_stack_file_and_zero_is_any(stack: Stack, tmp_path: Path) -> None:
    numbers = port_numbers(stack, options(tmp_path))
    assert (numbers["http"], numbers["grpc"], numbers["a"]) == (21, 22, 31)
    assert numbers["b"] >= 20000


def test_port_base_moves_all_ports(stack: Stack, tmp_path: Path) -> None:
    numbers = port_numbers(stack, options(tmp_path, port_base=5000))
    assert numbers == {"http": 5000, "grpc": 5001, "a": 5010, "b": 5011}


def test_option_for_a_single_port_takes_precedence(stack: Stack, tmp_path: Path) -> None:
    numbers = port_numbers(stack, options(tmp_path, free_ports=True, http_port=1234))
    assert numbers["http"] == 1234
    assert all(numbers[name] >= 20000 for name in ("grpc", "a", "b"))


def test_free_ports_are_those_of_the_previous_run(stack: Stack, tmp_path: Path) -> None:
    first = port_numbers(stack, options(tmp_path, free_ports=True))
    assert port_numbers(stack, options(tmp_path, free_ports=True)) == first


@pytest.mark.parametrize("content", ['{"a": ', "[]", "1", '{"a": "x"}', '{"a": -1}', '{"a": 70000}', '{"a": true}'])
def test_corrupt_file_of_previous_ports_is_ignored(stack: Stack, tmp_path: Path, content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    assert port_numbers(stack, options(tmp_path, free_ports=True))["a"] >= 20000
