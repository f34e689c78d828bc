"""Lets an idle device wait a moment where that pays: clients that were just answered often ask again at once.

Eight such clients end up as two groups of four, one waiting while the other is computed, though a batch of eight
costs less than two of four. Whether they come back in time is learnt from the waits themselves; where they do not, one
in a few batches still waits, to notice when that changes.
"""

from dataclasses import dataclass

from .costs import Cost

PATIENCE = 0.5  # of a batch's base cost, which is what one batch fewer saves
LONGEST_S = 0.02
LARGE = 0.9  # of the rate of endless batches: a batch that reaches it need not grow
WORTH = 0.5  # share of those waited for that must have come, of late
RATE = 0.25  # weight of one wait in that share
PROBE = 16


@dataclass(slots=True)
class Gathering:
    """Of one flow: `answered` tickets ended at `at`, and `back` have come since; `share` of those waited for came."""

    share: float = 1.0
    answered: int = 0
    back: int = 0
    at: float = 0.0
    awaited: int | None = None  # how many were missing when the wait began
    over: bool = True  # the wait for those answered last
    turns: int = 0

    def answer(self, count: int, now: float) -> None:
        self.answered, self.back, self.at = count, 0, now
        self.awaited, self.over = None, False

    def arrive(self) -> None:
        self.back += 1

    def wait(self, now: float, units: int, cost: Cost) -> float:
        """Seconds that are still worth waiting before so many units run; 0 once they should."""
        if self.over:
            return 0.0
        missing = self.answered - self.back
        left = self.at + min(PATIENCE * cost.base, LONGEST_S) - now
        if missing <= 0 or left <= 0 or not cost.is_proven or units * cost.each >= LARGE / (1 - LARGE) * cost.base:
            self._end(missing)
            return 0.0
        if self.awaited is None:
            self.turns += 1
            if self.share < WORTH and self.turns % PROBE:
                self.over = True
                return 0.0
            self.awaited = missing
        return left

    def _end(self, missing: int) -> None:
        self.over = True
        if self.awaited:
            self.share += RATE * (1 - max(0, missing) / self.awaited - self.share)
