"""The processes that the serving benchmark starts and ends."""

import psutil

from benchmarks.serving import process


def hogs() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if process.HOG in child.cmdline()]


def test_hogs_run_only_meanwhile():
    with process.hogs(2):
        assert len(hogs()) == 2
    assert not hogs()
