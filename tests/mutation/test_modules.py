"""modules.toml names files that exist."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = tomllib.loads(Path(__file__).with_name("modules.toml").read_text())


@pytest.mark.parametrize("name", MODULES)
def test_a_module_and_its_tests_are_where_the_list_says(name: str) -> None:
    module = MODULES[name]
    assert (ROOT / module["source"]).is_file()
    assert [test for test in module["tests"] if not (ROOT / test).exists()] == []
