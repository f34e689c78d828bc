"""Kills process groups once the emulator has gone, even by SIGKILL.

Runs as a script of its own, which the emulator starts: lines `+PGID` and `-PGID` on standard input say which groups to
watch; the end of the input means that the emulator has gone. Imports nothing but the standard library, since the
script starts without any other packages.
"""

import os
import signal
import subprocess
import sys
from typing import Self


class Reaper:
    """Starts the script and tells it which process groups are running; a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True, bufsize=0
        )

    def watch(self, group: int) -> None:
        self._write(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._write(f"-{group}\n")

    def close(self) -> None:
        """End the script, which kills every group that it still watches."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to every process of a group, if there are any."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
    except PermissionError:  # macOS raises this for a group that has only zombies left
        return


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        kill_group(group)


if __name__ == "__main__":
    main()
