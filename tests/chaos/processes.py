"""Kills and freezes services, which are children of the emulator like the proxy."""

import asyncio
import contextlib
import os
import signal

import psutil


def running(service: str) -> psutil.Process | None:
    """The process of a service that accepts connections and is not frozen."""
    for process in psutil.Process(os.getppid()).children():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("K_SERVICE") == service and _listens(process):
                return None if process.status() == psutil.STATUS_STOPPED else process
    return None


def kill(process: psutil.Process) -> None:
    os.killpg(process.pid, signal.SIGKILL)


async def freeze(process: psutil.Process, duration_s: float) -> None:
    """Stops the process and its children, and lets them continue later."""
    os.killpg(process.pid, signal.SIGSTOP)
    await asyncio.sleep(duration_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGCONT)


def _listens(process: psutil.Process) -> bool:
    return any(connection.status == psutil.CONN_LISTEN for connection in process.net_connections("tcp"))
