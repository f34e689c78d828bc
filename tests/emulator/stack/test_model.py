import pytest

from emulator.stack import model
from emulator.stack.model import StackError


def test_placeholders_are_filled_and_other_braces_left_alone() -> None:
    values = {"http": "127.0.0.1:1", "gpu-service.url": "http://127.0.0.1:2"}
    text = 'http://{http}/x {gpu-service.url}/y {"json": {}} {0}'
    assert model.fill(text, values) == 'http://127.0.0.1:1/x http://127.0.0.1:2/y {"json": {}} {0}'


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{env.MODELS:models.json}", "mine.json"),
        ("{env.MODELS}", "mine.json"),
        ("--models={env.MODELS:x},{http}", "--models=mine.json,h"),
        ("{env.UNSET:a: b/c-d.e}", "a: b/c-d.e"),
        ("{env.UNSET:}", ""),
        ("{env.EMPTY:default}", "default"),
        ("{env.BRACES:x}", "{http}"),
        ("{env.lower:x} {env.A-B:x} {ENV.MODELS}", "{env.lower:x} {env.A-B:x} {ENV.MODELS}"),
    ],
)
def test_variables_of_the_environment_are_filled_in_once(text: str, filled: str) -> None:
    environ = {"MODELS": "mine.json", "EMPTY": "", "BRACES": "{http}"}
    assert model.fill(text, {"http": "h"}, environ) == filled


@pytest.mark.parametrize("name", ["UNSET", "EMPTY"])
def test_a_variable_that_is_not_set_and_has_no_default_is_refused(name: str) -> None:
    with pytest.raises(StackError, match=rf"variable {name} is not set; set it, or write \{{env\.{name}:default\}}"):
        model.fill(f"{{env.{name}}}", {"http": "h"}, {"EMPTY": ""})


def test_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(StackError, match=r"unknown placeholder \{nobody.url\}; known are http"):
        model.fill("{nobody.url}", {"http": "x"})
