from collections.abc import Callable

import pytest

from emulator.supervisor.console import Console, Highlights

TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "main.py", line 1, in <module>',
    "    raise ValueError(secret)",
    "",
    "ValueError: the point",
]


def shown(lines: list[str]) -> list[str]:
    highlights = Highlights()
    return [text for line in lines if (text := highlights.pick(line)) is not None]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"severity": "WARNING", "message": "slow", "job": "j1", "list": [1]}', ["slow job=j1"]),
        ('{"severity": "ERROR", "message": "first\\nsecond"}', ["first"]),
        ('{"severity": "INFO", "message": "the word ERROR in an INFO message"}', []),
        ('{"message": "no severity"}', []),
        ("{not json ERROR", []),
        ("[2026-01-01] [1] [ERROR] Worker was sent SIGKILL!", ["[2026-01-01] [1] [ERROR] Worker was sent SIGKILL!"]),
        ("Serving on port 1", []),
        ("", []),
    ],
)
def test_only_severe_lines_are_shown(line: str, expected: list[str]) -> None:
    assert shown([line]) == expected


def test_only_the_last_line_of_a_traceback_is_shown() -> None:
    assert shown(["before", *TRACEBACK, "after"]) == ["ValueError: the point"]


def test_only_the_last_line_of_each_chained_traceback_is_shown() -> None:
    middle = ["", "During handling of the above exception, another exception occurred:", ""]
    assert shown([*TRACEBACK, *middle, *TRACEBACK]) == ["ValueError: the point"] * 2


@pytest.mark.parametrize("write", [Console.say, Console.fail, lambda console, text: console.report("toy", text)])
def test_control_characters_never_reach_the_terminal(
    write: Callable[[Console, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write(Console(), "a\x1b[31m\x9b\rb")
    output = "".join(capsys.readouterr())
    assert r"a\u001b[31m\u009b\u000db" in output
    assert output.count("\n") == 1
