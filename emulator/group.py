"""A process together with all that it starts: its output is read, its end is seen, nothing of it stays behind."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from emulator.guard import Guard, kill_group
from emulator.output import Output


class ProcessGroup:
    """A process that leads a group of its own; whoever starts one calls `end`, whatever has happened to it."""

    def __init__(self, process: asyncio.subprocess.Process, output: Output, guard: Guard) -> None:
        assert process.stdout
        self._process, self._guard = process, guard
        self._reader = asyncio.create_task(output.copy(process.stdout))

    @classmethod
    async def start(
        cls, argv: Sequence[str], env: Mapping[str, str], folder: Path, output: Output, guard: Guard
    ) -> Self:
        """Start a process in `folder` with exactly the variables `env`.

        Raises:
            OSError: there is no such program.
        """
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=folder,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        guard.watch(process.pid)
        return cls(process, output, guard)

    async def wait(self) -> int:
        """The exit status of the process; negative for the signal that ended it."""
        return await self._process.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        kill_group(self._process.pid, number)

    async def end(self) -> None:
        """Kill what is left of the group and read the rest of its output."""
        self.signal(signal.SIGKILL)
        await self._process.wait()
        self._guard.forget(self._process.pid)
        await self._reader


def ending(status: int) -> str:
    """How a process with this exit status ended, in words."""
    if status >= 0:
        return f"it ended with status {status}"
    return f"it was ended by {signal.Signals(-status).name}"
