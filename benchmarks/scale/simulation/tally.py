"""What is counted in a simulation."""

import math
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of inputs and executions; `waits` are the seconds from upload to document, `started` is by minute.

    `beside` are the waits of those that are not part of a flood.
    """

    uploaded: int = 0
    documents: int = 0
    failed: int = 0
    dead_letters: int = 0
    put_back: int = 0
    trials: int = 0
    most_waiting: int = 0
    drained: float = 0.0
    executions: Counter[int] = field(default_factory=Counter)
    started: Counter[int] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)
    beside: Counter[int] = field(default_factory=Counter)

    @property
    def is_drained(self) -> bool:
        return self.documents + self.failed + self.dead_letters == self.uploaded

    def start(self, now: float, inputs: int) -> None:
        """Counts an execution for so many inputs."""
        self.executions[int(now // 3600)] += 1
        self.started[int(now // 60)] += inputs

    def document(self, now: float, uploaded: float, *, is_beside: bool) -> None:
        self.documents += 1
        if is_beside:
            self.beside[int(now - uploaded)] += 1
        self.waits[int(now - uploaded)] += 1
        self.drained = now


def quantile(counts: Counter[int], share: float) -> float:
    """The value that so many of the counted ones do not exceed."""
    left = share * counts.total()
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return math.nan
