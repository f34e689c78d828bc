import asyncio
import json
import logging
from pathlib import Path

import pytest

from emulator.supervisor.console import Console
from emulator.supervisor.logs import ProcessLog, log_to


def test_the_emulators_log_is_json_lines_in_the_file_and_warnings_on_the_console(
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


def test_log_files_begin_anew_at_their_limit(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log = ProcessLog("toy", file, Console(), limit_mb=0.1)

    async def copy() -> None:
        stream = asyncio.StreamReader()
        for number in range(1000):
            stream.feed_data(b"%05d %s\n" % (number, b"x" * 993))
        stream.feed_eof()
        await log.copy(stream)

    asyncio.run(copy())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200_000
    assert file.read_text().splitlines()[-1].startswith("00999 ")


def test_a_log_that_the_disk_refuses_does_not_stop_the_process(tmp_path: Path) -> None:
    log = ProcessLog("toy", tmp_path, Console())  # a folder cannot be written

    async def copy() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(b"first\nsecond\n")
        stream.feed_eof()
        await log.copy(stream)

    asyncio.run(copy())
    assert list(log.tail) == ["first", "second"]


def test_process_log_keeps_all_output_and_shows_severe_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"
    log = ProcessLog("toy", file, Console())

    async def copy() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(b"starting\n[ERROR] broken\nno newline at the end")
        stream.feed_eof()
        await log.copy(stream)

    asyncio.run(copy())
    assert file.read_text() == "starting\n[ERROR] broken\nno newline at the end"
    assert list(log.tail) == ["starting", "[ERROR] broken", "no newline at the end"]
    assert capsys.readouterr().out == "toy       [ERROR] broken\n"
