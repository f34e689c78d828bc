import pytest

from emulator.stack import model
from emulator.stack.model import StackError


def test_placeholders_are_filled_and_other_braces_left_alone() -> None:
    values = {"http": "127.0.0.1:1", "gpu-service.url": "http://127.0.0.1:2"}
    text = 'http://{http}/x {gpu-service.url}/y {"json": {}} {0}'
    assert model.fill(text, values) == 'http://127.0.0.1:1/x http://127.0.0.1:2/y {"json": {}} {0}'


def test_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(StackError, match=r"unknown placeholder \{nobody.url\}; known are http"):
        model.fill("{nobody.url}", {"http": "x"})
