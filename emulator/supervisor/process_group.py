"""A process together with all that it starts: its output is read, its end is seen, nothing of it stays behind."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from emulator.supervisor.logs import Output
from emulator.supervisor.reaper import Guard, kill_group

_LAST_WORDS_S = 2  # for a pipe that somebody outside the group still holds


class ProcessGroup:
    """A process that leads a group of its own; whoever starts one calls `end`, whatever has happened to it."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.Task[None], guard: Guard) -> None:
        self._process, self._reader, self._guard = process, reader, guard

    @classmethod
    async def start(
        cls, argv: Sequence[str], env: Mapping[str, str], folder: Path, output: Output, guard: Guard
    ) -> Self:
        """Start a process in `folder` with exactly the variables `env`.

        Raises:
            OSError: there is no such program.
        """
        # A pipe of our own: with one of asyncio's, `wait` would wait for all that hold it, not for the process alone.
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=folder,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        guard.watch(process.pid)
        return cls(process, asyncio.create_task(_copy(reading, output)), guard)

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
        await asyncio.wait((self._reader,), timeout=_LAST_WORDS_S)
        self._reader.cancel()


async def _copy(reading: int, output: Output) -> None:
    """Read a pipe until nobody holds its other end."""
    stream = asyncio.StreamReader()
    with os.fdopen(reading, "rb", 0) as pipe:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        try:
            await output.copy(stream)
        finally:
            transport.close()


def ending(status: int) -> str:
    """How a process with this exit status ended, in words."""
    if status >= 0:
        return f"it ended with status {status}"
    return f"it was ended by {signal.Signals(-status).name}"
