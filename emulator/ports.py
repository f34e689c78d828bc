"""Ports on loopback: binds them, chooses free ones, and reports those that are taken."""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

HOST = "127.0.0.1"
LAST = 65535

# Below the range of outgoing connections, so that none of those can take a port that was chosen.
_FREE = range(20000, 32000)

_reserved: set[int] = set()  # by this process, whose own locks do not exclude it


class PortTakenError(OSError):
    """Another process listens on the port; `user` is what needs it, `option` how to choose another one."""

    def __init__(self, port: int, user: str, option: str) -> None:
        super().__init__(f"port {port} ({user}) is taken by another process; choose another one with {option}")
        self.port = port


def listen(port: int, user: str, option: str) -> socket.socket:
    """A listening socket on the port; 0 means any free one.

    Raises:
        PortTakenError: another process listens on the port.
    """
    bound = _bind(port)
    if bound is None:
        raise PortTakenError(port, user, option)
    bound.listen(512)
    return bound


def check(port: int, user: str, option: str) -> None:
    """Raise `PortTakenError` if a process listens on the port."""
    bound = _bind(port)
    if bound is None:
        raise PortTakenError(port, user, option)
    bound.close()


def choose(previous: Mapping[str, int], names: list[str]) -> dict[str, int]:
    """A free port for each name: its previous one if that is still free, else a random one.

    Each is reserved until this process ends: no other process of this user is given it, even before it is bound.
    """
    chosen: dict[str, int] = {}
    for name in names:
        candidates = [previous[name]] if name in previous else []
        candidates += [port for port in random.sample(_FREE, 100) if port not in _reserved]
        free = (port for port in candidates if port not in chosen.values() and _reserve(port))
        chosen[name] = next(free)
    _reserved.update(chosen.values())
    return chosen


def _reserve(port: int) -> bool:
    """Whether the port is free, and no process that is still running was given it."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)  # the port's byte of the file
    except BlockingIOError:
        return False
    bound = _bind(port)
    if bound:
        bound.close()
    else:
        fcntl.lockf(_reservations(), fcntl.LOCK_UN, 1, port)
    return bound is not None


@cache
def _reservations() -> int:
    """The file whose bytes stand for ports; its locks end with the process, however that ends."""
    path = Path(tempfile.gettempdir()) / f"emulator-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _bind(port: int) -> socket.socket | None:
    # Without the explicit protocol, asyncio leaves Nagle's algorithm on, and a body waits 40 ms for the head's ACK.
    candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((HOST, port))
    except OSError:
        candidate.close()
        return None
    return candidate
