import json

import pytest

from emulator.terminal import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 😀\ttab\nline", "plain é 😀\ttab\nline"),
        ("\x1b]0;title\x07", r"\u001b]0;title\u0007"),
        ("a\rb\x7f", r"a\u000db\u007f"),
        ("\x9b2J", r"\u009b2J"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_escaped_json_is_the_same_json() -> None:
    value = {"a": "\x9b31m\x7f\u202e"}
    assert json.loads(escaped(json.dumps(value, ensure_ascii=False))) == value
