"""What a part of the stack says: kept in its log file, and shown where it needs attention."""

import asyncio
from collections import deque
from pathlib import Path

from emulator.console import Attention, Console

_TAIL = 25


class Output:
    """Where the output of one part goes; `tail` holds its last lines."""

    def __init__(self, name: str, log: Path, console: Console) -> None:
        self.name, self.log, self.console = name, log, console
        self.tail: deque[str] = deque(maxlen=_TAIL)

    async def copy(self, stream: asyncio.StreamReader) -> None:
        """Append what a process writes to the log file until it has ended, and show what needs attention."""
        attention, rest = Attention(), b""
        with self.log.open("ab") as log:
            while chunk := await stream.read(65536):
                log.write(chunk)
                log.flush()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._show(attention, line.decode(errors="replace"))
            if rest:
                self._show(attention, rest.decode(errors="replace"))

    def _show(self, attention: Attention, line: str) -> None:
        self.tail.append(line)
        shown = line if self.console.verbose else attention.look(line)
        if shown is not None:
            self.console.part(self.name, shown)
