"""Lets an idle device wait briefly for clients that it has just answered, since they often ask again immediately.

Otherwise eight such clients split into two groups of four, one waiting while the other is computed, although a batch of
eight costs less than two of four. The waits themselves show how many clients return in time. Where few do, only one
batch in PROBE waits, to notice a change.
"""

from dataclasses import dataclass

from gpu_service.batching.cost_model import Cost

PATIENCE = 0.5  # of a batch's base cost, which is what one batch less saves
LONGEST_S = 0.02
LARGE = 0.9  # of the rate of infinitely large batches: a batch that reaches it need not grow
WORTH = 0.5  # least share of the awaited requests that must have arrived recently
RATE = 0.25  # weight of one wait in that share
PROBE = 16


@dataclass(slots=True)
class Gathering:
    """The wait of one flow: of the requests answered at `at`, `missing` have no successor yet.

    `share` is the recent share of awaited requests that arrived.
    """

    share: float = 1.0
    missing: int = 0
    at: float = 0.0
    awaited: int = 0  # missing when the wait began
    turns: int = 0

    def answer(self, count: int, now: float) -> None:
        self.missing, self.at, self.awaited = count, now, 0

    def arrive(self) -> None:
        self.missing -= 1

    def wait(self, now: float, units: int, cost: Cost) -> float:
        """Seconds still worth waiting before a batch of `units` runs; 0 when it should run now."""
        left = self.at + min(PATIENCE * cost.base, LONGEST_S) - now
        is_large = units * cost.each >= LARGE / (1 - LARGE) * cost.base
        if self.missing <= 0 or left <= 0 or is_large or not cost.is_proven:
            self._end()
            return 0.0
        if not self.awaited:
            self.turns += 1
            if self.share < WORTH and self.turns % PROBE:
                self._end()
                return 0.0
            self.awaited = self.missing
        return left

    def _end(self) -> None:
        """Learns from the wait, if there was one, and waits no more until the next answer."""
        if self.awaited:
            self.share += RATE * (1 - max(0, self.missing) / self.awaited - self.share)
        self.missing = self.awaited = 0
