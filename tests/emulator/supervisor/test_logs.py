import json
import logging
from pathlib import Path

import pytest

from emulator.supervisor.logs import Attention, Console, log_to

TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "main.py", line 1, in <module>',
    "    raise ValueError(secret)",
    "",
    "ValueError: the point",
]


def shown(lines: list[str]) -> list[str]:
    attention = Attention()
    return [found for line in lines if (found := attention.look(line)) is not None]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"severity": "WARNING", "message": "slow", "job": "j1", "list": [1]}', ["slow job=j1"]),
        ('{"severity": "ERROR", "message": "first\\nsecond"}', ["first"]),
        ('{"severity": "INFO", "message": "an ERROR of no weight"}', []),
        ('{"message": "no severity"}', []),
        ("{not json ERROR", []),
        ("[2026-01-01] [1] [ERROR] Worker was sent SIGKILL!", ["[2026-01-01] [1] [ERROR] Worker was sent SIGKILL!"]),
        ("Serving on port 1", []),
        ("", []),
    ],
)
def test_only_what_needs_attention_is_shown(line: str, expected: list[str]) -> None:
    assert shown([line]) == expected


def test_traceback_is_shown_by_its_last_line() -> None:
    assert shown(["before", *TRACEBACK, "after"]) == ["ValueError: the point"]


def test_chained_tracebacks_are_shown_by_their_last_lines() -> None:
    middle = ["", "During handling of the above exception, another exception occurred:", ""]
    assert shown([*TRACEBACK, *middle, *TRACEBACK]) == ["ValueError: the point"] * 2


def test_own_log_is_json_lines_in_the_file_and_warnings_on_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        log_to(tmp_path / "log", Console())
        logging.getLogger("a").info("quiet", extra={"n": 1})
        logging.getLogger("a").warning("loud", extra={"n": 2})
    finally:
        root.handlers[:], root.level = before
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(line["severity"], line["message"], line["n"]) for line in lines] == [
        ("INFO", "quiet", 1),
        ("WARNING", "loud", 2),
    ]
    assert capsys.readouterr().out == "emulator  loud n=2\n"
