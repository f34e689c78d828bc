"""Ports on loopback: taken for listening, chosen freely, and reported clearly when somebody else has them."""

import random
import socket
from collections.abc import Mapping

HOST = "127.0.0.1"

# Below the range that the system gives to outgoing connections, so that none can grab a port we chose.
_FREE = range(20000, 32000)


class PortTakenError(OSError):
    """Another process listens there; `user` says what wanted the port, `option` how to choose another one."""

    def __init__(self, port: int, user: str, option: str) -> None:
        super().__init__(f"port {port} ({user}) is taken by another process; choose others with {option}")
        self.port = port


def listen(port: int, user: str, option: str) -> socket.socket:
    """A socket bound to the port (0: any free one) and listening.

    Raises:
        PortTakenError: somebody else listens there.
    """
    bound = _bind(port)
    if bound is None:
        raise PortTakenError(port, user, option)
    bound.listen(512)
    return bound


def check(port: int, user: str, option: str) -> None:
    """Raise `PortTakenError` if somebody listens on the port."""
    bound = _bind(port)
    if bound is None:
        raise PortTakenError(port, user, option)
    bound.close()


def choose(before: Mapping[str, int], names: list[str]) -> dict[str, int]:
    """A free port for each name: the one it had before if that is free still, else a random one."""
    chosen: dict[str, int] = {}
    for name in names:
        candidates = [before[name]] if name in before else []
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
    # asyncio turns Nagle's algorithm off only where the protocol is named; else a body waits 40 ms for its head's ACK.
    candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((HOST, port))
    except OSError:
        candidate.close()
        return None
    return candidate
