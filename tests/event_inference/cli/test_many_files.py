"""A thousand files in one command: progress, bounded memory, and Ctrl-C in between without sending anything twice."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.event_inference.conftest import Emulated, environment, local_environment

COUNT, SIZE = 1000, 64 * 1024
MEMORY_MB = 200  # Google's clients alone take about 100

pytestmark = [pytest.mark.release, pytest.mark.timeout(300)]


def generations(laptop: Emulated) -> dict[str, list[int]]:
    """Every generation in the input bucket, by name."""
    listed = laptop.client.connection.storage.list_blobs(laptop.target.input_bucket, versions=True)
    found: dict[str, list[int]] = {}
    for blob in listed:
        found.setdefault(blob.name, []).append(blob.generation)
    return found


def test_a_thousand_files_with_an_interruption(laptop: Emulated, tmp_path: Path):
    folder, home = tmp_path / "many", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    for number in range(COUNT):
        (folder / f"{number:04}.txt").write_bytes(f"{number:04}".encode() * (SIZE // 4))
    command = [sys.executable, "-m", "event_inference", "submit", str(folder)]
    env = environment(home) | local_environment(laptop) | {"COLUMNS": "100", "TERM": "xterm"}

    first = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(generations(laptop)) < COUNT // 5:
        assert first.poll() is None, first.communicate()
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    interrupted = generations(laptop)
    assert (first.returncode, out) == (130, "")
    assert COUNT // 5 <= len(interrupted) < COUNT
    assert "Run the same command again for the rest: nothing is sent twice." in err

    reading, writing = pty.openpty()
    shown = bytearray()
    second = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=writing, text=True)
    os.close(writing)
    reader = threading.Thread(target=_read, args=(reading, shown))
    reader.start()
    peak = Peak(second.pid)
    peak.start()
    out, _ = second.communicate(timeout=200)
    reader.join()
    peak.join()
    assert second.returncode == 0
    sent, present = (int(text.replace(",", "")) for text in re.findall(r"[\d,]*\d", out))
    assert (sent, present) == (COUNT - len(interrupted), len(interrupted))
    assert b"Sent" in shown, "a terminal shows progress"
    after = generations(laptop)
    assert len(after) == COUNT
    assert all(len(each) == 1 for each in after.values()), "nothing was sent twice"
    assert all(after[name] == each for name, each in interrupted.items())
    assert 0 < peak.bytes < MEMORY_MB << 20


class Peak(threading.Thread):
    """The most memory that a process has while it runs."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._process = psutil.Process(pid)
        self.bytes = 0

    def run(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            while self._process.status() != psutil.STATUS_ZOMBIE:
                self.bytes = max(self.bytes, self._process.memory_info().rss)
                time.sleep(0.05)


def _read(descriptor: int, shown: bytearray) -> None:
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown.extend(part)
    os.close(descriptor)
