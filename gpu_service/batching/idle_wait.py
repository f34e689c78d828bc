"""Lets an idle device wait a moment where that pays: clients that were just answered often ask again at once.

Eight such clients end up as two groups of four, one waiting while the other is computed, though a batch of eight
costs less than two of four. Whether they come back in time is learnt from the waits themselves; where they do not, one
in a few batches still waits, to notice when that changes.
"""

from dataclasses import dataclass

from gpu_service.batching.cost_model import Cost

PATIENCE = 0.5  # of a batch's base cost, which is what one batch fewer saves
LONGEST_S = 0.02
LARGE = 0.9  # of the rate of endless batches: a batch that reaches it need not grow
WORTH = 0.5  # share of those waited for that must have come, of late
RATE = 0.25  # weight of one wait in that share
PROBE = 16


@dataclass(slots=True)
class Gathering:
    """Of one flow: of those answered at `at`, so many are `missing` yet; `share` of those waited for came, of late."""

    share: float = 1.0
    missing: int = 0
    at: float = 0.0
    awaited: int = 0  # how many were missing when the wait began
    turns: int = 0

    def answer(self, count: int, now: float) -> None:
        self.missing, self.at, self.awaited = count, now, 0

    def arrive(self) -> None:
        self.missing -= 1

    def wait(self, now: float, units: int, cost: Cost) -> float:
        """Seconds that are still worth waiting before so many units run; 0 once they should."""
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
        """Learns from the wait, if there was one; until the next answer there is none."""
        if self.awaited:
            self.share += RATE * (1 - max(0, self.missing) / self.awaited - self.share)
        self.missing = self.awaited = 0
