"""One service as a process: started, probed until it is ready, restarted whenever it ends, stopped."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from emulator.ports import HOST
from emulator.supervisor.console import Console
from emulator.supervisor.logs import ProcessLog
from emulator.supervisor.process_group import ProcessGroup, ending
from emulator.supervisor.reaper import Reaper

_PROBE_INTERVAL_S = 0.05
_RESTART_MIN_S, _RESTART_MAX_S = 0.5, 10.0
_STEADY_S = 30  # a service that ran for so long restarts with the shortest delay
_STOP_S = 8


@dataclass(frozen=True)
class Launch:
    """How to start a service. `ready` is the path to probe; None means that an open port is enough."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    folder: Path
    port: int
    ready: str | None
    ready_timeout_s: float


class StartError(RuntimeError):
    """A service did not become ready; the message says how it ended, and the lines after that are its last output."""


class ServiceProcess:
    """Runs one service from `start` to `stop`.

    Args:
        on_up: called whenever the service is ready again after a restart.
        on_down: called whenever its process has ended.
    """

    def __init__(
        self,
        launch: Launch,
        log: ProcessLog,
        console: Console,
        reaper: Reaper,
        *,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[], None] = lambda: None,
    ) -> None:
        self.launch, self._output, self._console, self._reaper = launch, log, console, reaper
        self._on_up, self._on_down = on_up, on_down
        self._process: ProcessGroup | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.is_lent = False

    async def start(self) -> None:
        """Return when the service is ready; from then on it is restarted whenever it ends.

        Raises:
            StartError: it ended, or was not ready in time.
        """
        self._output.clear()
        began = time.monotonic()
        await self._launch()
        self._console.report(self.launch.name, f"ready after {time.monotonic() - began:.1f} s")
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Send SIGTERM, and after a timeout SIGKILL, to the service and all its descendants."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._process is None:
            return
        self._process.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._console.report(self.launch.name, f"has not stopped within {_STOP_S} s; killing it")
        await self._end()

    async def lend(self) -> None:
        """Stop the service, so that another process can serve its port."""
        self.is_lent = True
        self._on_down()
        await self.stop()

    async def await_borrower(self) -> None:
        """Return when the other process serves the port."""
        while not await self._accepts():
            await asyncio.sleep(_PROBE_INTERVAL_S)
        self._console.report(self.launch.name, "ready in the debugger")
        self._on_up()

    async def take_back(self) -> None:
        """Start the service again.

        Raises:
            StartError: it ended, or was not ready in time.
        """
        self.is_lent = False
        await self.restart()

    async def restart(self) -> None:
        """Stop the service and start it again.

        Raises:
            StartError: it ended, or was not ready in time; the service is then stopped.
        """
        self._on_down()
        await self.stop()
        await self.start()
        self._on_up()

    def kill(self) -> None:
        """Send SIGKILL, so that `stop` returns soon."""
        if self._process:
            self._process.signal(signal.SIGKILL)

    async def _watch(self) -> None:
        """Restart the service whenever it ends, with a delay that doubles."""
        delay = _RESTART_MIN_S
        began = time.monotonic()
        while True:
            problem = await self._ended()
            delay = _RESTART_MIN_S if time.monotonic() - began > _STEADY_S else delay
            self._console.report(self.launch.name, f"{problem}; restarting in {delay:g} s (log: {self._output.file})")
            await asyncio.sleep(delay)
            delay = min(delay * 2, _RESTART_MAX_S)
            began = time.monotonic()
            try:
                await self._launch()
            except StartError as error:
                self._console.report(self.launch.name, str(error).splitlines()[0])
                continue
            self._console.report(self.launch.name, f"ready again after {time.monotonic() - began:.1f} s")
            self._on_up()

    async def _ended(self) -> str:
        """Wait until the process has ended; returns how it did, in words."""
        if self._process is None:
            return "it is not running"
        status = await self._process.wait()
        self._on_down()
        await self._end()
        return ending(status)

    async def _launch(self) -> None:
        launch = self.launch
        self._process = process = await ProcessGroup.start(
            launch.argv, launch.env, launch.folder, self._output, self._reaper
        )
        probe, exited = asyncio.create_task(self._probe()), asyncio.create_task(process.wait())
        timeout = launch.ready_timeout_s
        try:
            await asyncio.wait((probe, exited), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if probe.done() and not exited.done():
                probe.result()
                return
            problem = ending(exited.result()) if exited.done() else f"it was not ready after {timeout:g} s"
        finally:
            probe.cancel()
            exited.cancel()
        await self._end()
        raise StartError("\n".join([problem, *self._output.tail]))

    async def _end(self) -> None:
        """Kill the descendants of the process and read the rest of its output."""
        process, self._process = self._process, None
        if process:
            await process.end()

    async def _probe(self) -> None:
        """Return when the service answers."""
        if self.launch.ready is None:
            while not await self._accepts():
                await asyncio.sleep(_PROBE_INTERVAL_S)
            return
        url = f"http://{HOST}:{self.launch.port}{self.launch.ready}"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while not await _is_ok(session, url):
                await asyncio.sleep(_PROBE_INTERVAL_S)

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.launch.port)
        except OSError:
            return False
        writer.close()
        return True


async def _is_ok(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return 200 <= response.status < 300
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
