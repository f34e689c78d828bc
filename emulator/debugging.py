"""Services in a debugger: calls to them have no deadline, since a person may stand at a breakpoint."""

from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_S = 7 * 86_400.0
_debugged: set[str] = set()


@contextmanager
def debugged(url: str) -> Iterator[None]:
    """Lift the deadlines of calls to a service in this process.

    Args:
        url: the service's, such as `http://127.0.0.1:9021`.
    """
    _debugged.add(url)
    try:
        yield
    finally:
        _debugged.discard(url)


def deadline(url: str, seconds: float) -> float:
    """How long a call to a URL may take: `seconds`, or a week if its service is in a debugger."""
    return _LONGEST_S if any(url == base or url.startswith((f"{base}/", f"{base}?")) for base in _debugged) else seconds
