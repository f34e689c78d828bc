"""Local stacks on this machine: `addresses.json`, which the emulator writes once it is ready and removes at its end."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from event_inference.errors import TargetError, UnreachableError
from event_inference.targets.target import Target

FOLDER, ADDRESSES = ".local", "addresses.json"
_TRACES = (ADDRESSES, "ports.json", "lock")  # of a stack that runs, or has run
_CONNECT_S = 2


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A local stack's folder, and its addresses if it is running."""

    folder: Path
    addresses: Mapping[str, Any] | None

    def target(self, origin: str) -> Target:
        """The running stack.

        Raises:
            UnreachableError: it is not running.
        """
        if self.addresses is None:
            raise UnreachableError(f"No local stack is running in {self.folder}. Start one with: einf local up")
        running = self.addresses
        return Target.laptop(
            origin=origin,
            http=running["http"],
            grpc=running["grpc"],
            project=running["project"],
            region=running["location"],
            variables=running["env"],
            services=running["services"],
            data=self.folder,
        )


def at(folder: Path) -> LocalStack:
    """The stack whose state is in a folder, or in its subfolder `.local`.

    Raises:
        TargetError: there is no such folder.
    """
    if not folder.is_dir():
        raise TargetError(f"There is no folder {folder}. Name the folder of a local stack's state, such as .local")
    inner = folder / FOLDER
    return _read(inner if not _has_traces(folder) and inner.is_dir() else folder)


def nearest(folder: Path) -> LocalStack | None:
    """The stack in `.local` of this folder or of the first one above it that has one."""
    for parent in (folder, *folder.parents):
        if _has_traces(parent / FOLDER):
            return _read(parent / FOLDER)
    return None


def _has_traces(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _TRACES)


def _read(folder: Path) -> LocalStack:
    try:
        running: dict[str, Any] = json.loads((folder / ADDRESSES).read_text())
        is_alive = _is_alive(running["pid"]) and answers(running["http"])
        complete = all(key in running for key in ("grpc", "project", "location", "env", "services"))
    except (OSError, ValueError, TypeError, LookupError):  # no file, or a file of something else
        return LocalStack(folder, None)
    return LocalStack(folder, running if is_alive and complete else None)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # of another user
        return True
    except (OSError, OverflowError):
        return False
    return pid > 0


def answers(address: str) -> bool:
    """Whether something listens at `host:port`; another process may have the id of an emulator that was killed."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True
