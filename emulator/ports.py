"""Ports on loopback: binds them, chooses free ones, and reports those that are taken."""

import random
import socket
from collections.abc import Mapping

HOST = "127.0.0.1"
LAST = 65535

# Below the range of outgoing connections, so that none of those can take a port that was chosen.
_FREE = range(20000, 32000)


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
    """A free port for each name: its previous one if that is still free, else a random one."""
    chosen: dict[str, int] = {}
    for name in names:
        candidates = [previous[name]] if name in previous else []
        candidates += random.sample(_FREE, 100)
        free = (port for port in candidates if port not in chosen.values() and _is_free(port))
        chosen[name] = next(free)
    return chosen


def _is_free(port: int) -> bool:
    bound = _bind(port)
    if bound:
        bound.close()
    return bound is not None


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
