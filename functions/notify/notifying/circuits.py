"""Leaves an endpoint alone for a while that has failed several times, so that it costs nobody a timeout."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

TOLERATED = 3  # failures in a row
SHORTEST, LONGEST = 10.0, 600.0  # seconds; Pub/Sub's own back-off ends there too
PROBE = 30.0  # seconds for which one attempt stands for all


@dataclass
class _State:
    failures: int = 0
    rests_until: float = 0.0


class Circuits:
    """The endpoints' recent failures in this instance, by name; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    def allows(self, name: str) -> bool:
        """Whether to try an endpoint now; of those who ask after a pause, the first one tries for all."""
        with self._lock:
            state, now = self._states.get(name), self._clock()
            if state is None or not state.rests_until:
                return True
            if now < state.rests_until:
                return False
            state.rests_until = now + PROBE
            return True

    def succeeded(self, name: str) -> None:
        with self._lock:
            self._states.pop(name, None)

    def failed(self, name: str, retry_after: float | None) -> None:
        """Notes a failure; the receiver's own wish to be left alone is obeyed from the first one on."""
        with self._lock:
            state = self._states.setdefault(name, _State())
            state.failures += 1
            excess = state.failures - TOLERATED
            pause = min(SHORTEST * 2.0 ** min(excess, 10), LONGEST) if excess >= 0 else 0.0
            pause = max(pause, retry_after or 0.0)
            state.rests_until = self._clock() + pause if pause else 0.0
