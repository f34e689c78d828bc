"""Starts a server as a process, waits for its first correct answer, and ends all its processes."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil

from benchmarks.serving import load
from benchmarks.serving.models import folder, references
from benchmarks.serving.paths import LOGS, ROOT
from benchmarks.serving.peers import Peer

MARK = "SERVING_BENCHMARK"  # in the environment of a server and its descendants
READY_SECONDS = 180.0
GRACE_SECONDS = 10.0  # Cloud Run's grace period after SIGTERM
HOG = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(10_000))"  # ends with its parent


class StartError(Exception):
    """A server did not start; `args[0]` gives the reason with the end of its log."""


class Server:
    """One started server; `ready_seconds` is the time from its start to its first correct answer."""

    def __init__(self, peer: Peer, model: str, threads: int) -> None:
        self.peer, self.port, self.mark = peer, free_port(), uuid.uuid4().hex
        path = folder(model)
        self.target = load.Target(self.port, peer.wire, references(model))
        self.log = log_file(peer, model)
        environment = peer.environment(self.port, path, threads) | {MARK: self.mark}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            peer.arguments(self.port, path, threads),
            cwd=ROOT,
            env=environment,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.ready_seconds = float("nan")

    async def wait_until_ready(self) -> None:
        """Raises StartError when the process ends or gives no correct answer in time."""
        outcome = ""
        while time.perf_counter() - self.began < READY_SECONDS:
            connection = self.target.connect()
            outcome, _ = await self.target.ask(connection, 0, timeout=5.0)
            connection.close()
            if outcome == load.OK:
                self.ready_seconds = time.perf_counter() - self.began
                return
            if self.process.poll() is not None:
                raise StartError(f"ended with {self.process.returncode}: {self.last_words()}")
            await asyncio.sleep(0.01)
        raise StartError(f"no correct answer in {READY_SECONDS:.0f} s, last {outcome}: {self.last_words()}")

    def last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][-300:] if lines else "no output"

    async def terminate(self, grace: float = GRACE_SECONDS) -> bool:
        """SIGTERM, as Cloud Run sends it; whether the process ended by itself within `grace` seconds."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        end = time.perf_counter() + grace
        while self.process.poll() is None and time.perf_counter() < end:
            await asyncio.sleep(0.02)
        return self.process.poll() is not None

    def left_behind(self) -> list[psutil.Process]:
        """The running processes of this server, including those whose parent has ended."""
        return [process for process in psutil.process_iter() if marked(process, self.mark)]

    def kill(self) -> None:
        while remaining := self.left_behind():
            for process in remaining:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(remaining, timeout=5)
        self.process.wait()


@contextlib.asynccontextmanager
async def serving(peer: Peer, model: str, threads: int) -> AsyncIterator[Server]:
    """Yields a ready server and ends all its processes afterwards. Raises StartError."""
    server = Server(peer, model, threads)
    try:
        await server.wait_until_ready()
        yield server
        await server.terminate()
    finally:
        server.kill()


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """Keeps `count` other processes busy meanwhile."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            hog = stack.enter_context(subprocess.Popen([sys.executable, "-c", HOG]))
            stack.callback(hog.kill)
        yield


def marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def log_file(peer: Peer, model: str) -> Path:
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS / f"{model}-{''.join(letter if letter.isalnum() else '-' for letter in peer.name)}.log"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((load.HOST, 0))
        return int(probe.getsockname()[1])


def default_threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))
