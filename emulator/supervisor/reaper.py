"""Kills the process groups that it was told of when its parent goes away, even by SIGKILL.

Run as a script: standard input brings lines `+PGID` and `-PGID`; its end means that the parent is gone.
"""

import os
import signal
import subprocess
import sys
from typing import Self


class Guard:
    """The parent's side: keeps the guard informed of the groups that run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True, bufsize=0
        )

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the guard; it kills whatever it still watches."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def kill_group(group: int, how: int = signal.SIGKILL) -> None:
    """Send a signal to every process of a group that still has some."""
    try:
        os.killpg(group, how)
    except ProcessLookupError:
        return
    except PermissionError:  # macOS says this of a group of which only zombies are left
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
