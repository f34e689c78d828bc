"""Lends services to debuggers: `python -m emulator debug NAME` runs one in the foreground while the rest goes on.

The debugger connects to a socket in the data folder, asks for a service, and gets what it needs to run it. The loan
ends with the connection, however the debugger ended.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from emulator import state
from emulator.supervisor.console import Console

_LONGEST_PATH = 100  # bytes of a Unix socket's address, on every system

Lend = Callable[[str, AsyncExitStack], Awaitable[dict[str, Any]]]


def socket_path(data: Path) -> Path:
    return data / "debug.sock"


class Loans:
    """The socket at which debuggers ask for services.

    Args:
        services: what is lent, by name.
        lend: stops the process of a service and returns how to run it; what it enters ends the loan.
    """

    def __init__(self, data: Path, services: Mapping[str, object], lend: Lend, console: Console) -> None:
        self._path, self._services, self._lend, self._console = socket_path(data), services, lend, console
        self._server: asyncio.Server | None = None
        self._lent: set[str] = set()
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen, unless the path of the data folder is too long for a socket."""
        if len(os.fsencode(self._path.absolute())) > _LONGEST_PATH:
            self._console.report("emulator", f"{self._path} is too long a path; services cannot be debugged")
            return
        self._path.unlink(missing_ok=True)  # of an emulator that was killed
        state.restrict()
        self._server = await asyncio.start_unix_server(self._connected, self._path)

    async def close(self) -> None:
        """End every loan."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = json.loads(await reader.readline() or b'""')
        if refusal := self._refusal(name):
            writer.write(json.dumps({"error": refusal}).encode() + b"\n")
            await writer.drain()
            return
        self._lent.add(name)
        try:
            async with AsyncExitStack() as loan:
                writer.write(json.dumps(await self._lend(name, loan)).encode() + b"\n")
                await writer.drain()
                await reader.read()  # until the debugger ends
        finally:
            self._lent.discard(name)

    def _refusal(self, name: object) -> str | None:
        if name not in self._services:
            return f"there is no service {name}; there are {', '.join(self._services)}"
        return f"{name} is in a debugger already" if name in self._lent else None
