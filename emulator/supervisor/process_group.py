"""A process and its descendants: their output is copied to a log, and none of them outlives the group."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from emulator import state
from emulator.supervisor.logs import ProcessLog
from emulator.supervisor.reaper import Reaper, kill_group

_DRAIN_S = 2  # for a pipe that a process outside the group still holds open


class ProcessGroup:
    """A process that leads a group of its own; however it ends, `start` must be followed by `end`."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.Task[None], reaper: Reaper) -> None:
        self._process, self._reader, self._reaper = process, reader, reaper

    @classmethod
    async def start(
        cls, argv: Sequence[str], env: Mapping[str, str], folder: Path, log: ProcessLog, reaper: Reaper
    ) -> Self:
        """Start a process in `folder` with no other environment variables than `env`.

        Raises:
            OSError: the program cannot be started.
        """
        # Not asyncio's pipe: with that, `wait` would return only once every process that inherited the pipe has ended.
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
                umask=state.restrict(),
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        reaper.watch(process.pid)
        return cls(process, asyncio.create_task(_copy(reading, log)), reaper)

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
        self._reaper.forget(self._process.pid)
        await asyncio.wait((self._reader,), timeout=_DRAIN_S)
        self._reader.cancel()


async def _copy(reading: int, log: ProcessLog) -> None:
    """Copy a pipe to the log until its other end is closed."""
    stream = asyncio.StreamReader()
    with os.fdopen(reading, "rb", 0) as pipe:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        try:
            await log.copy(stream)
        finally:
            transport.close()


def ending(status: int) -> str:
    """How a process with this exit status ended, in words."""
    if status >= 0:
        return f"it ended with status {status}"
    return f"it was ended by {signal.Signals(-status).name}"
