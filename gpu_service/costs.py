"""What a batch costs on this device: seconds as a line over its units, fitted to what warm-up measures."""

from collections.abc import Sequence
from dataclasses import dataclass

EFFICIENT = 0.97  # of the rate that endless batches would reach: larger ones only make others wait


@dataclass(slots=True)
class Cost:
    """`base` seconds for any batch and `each` per unit: a token, or an image.

    Packed batches cost the sum of their sizes, padded ones rows times the longest. `budget` is how many units a batch
    may hold; running out of memory lowers it.
    """

    base: float
    each: float
    packed: bool
    budget: int

    def seconds(self, units: int) -> float:
        return self.base + self.each * units

    def units(self, sizes: Sequence[int]) -> int:
        return sum(sizes) if self.packed else len(sizes) * max(sizes)

    def drain(self, count: int, units: int) -> float:
        """Seconds for that many tickets and units in full batches."""
        batches = min(count, -(-units // self.budget))
        return batches * self.base + units * self.each

    def shrink(self, units: int) -> None:
        """A batch of so many units did not fit into the memory."""
        self.budget = max(1, min(self.budget, units // 2))


def fit(samples: Sequence[tuple[int, float]], *, packed: bool, max_seconds: float, max_units: int) -> Cost:
    """A line through (units, seconds), and the budget up to which larger batches pay."""
    (few, little), *_ = samples
    (many, much) = samples[-1]
    each = max((much - little) / max(1, many - few), 1e-9)
    base = max(little - each * few, 1e-6)
    pays = int(EFFICIENT / (1 - EFFICIENT) * base / each)
    fits = int((max_seconds - base) / each)
    return Cost(base, each, packed, max(1, min(max(pays, few), fits, max_units)))
