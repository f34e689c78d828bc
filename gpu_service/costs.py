"""What a batch costs on this device: seconds as a line over its units, fitted to what warm-up measures."""

from collections.abc import Sequence
from dataclasses import dataclass

EFFICIENT = 0.98  # of the rate that endless batches would reach: larger ones only make others wait
OVERHEAD_S = 2e-4  # for cutting a batch and handing out its results
CALM = 0.1  # weight of one batch in what is learnt while running


@dataclass(slots=True)
class Cost:
    """`base` seconds for any batch and `each` per unit: a token, or an image.

    Packed batches cost the sum of their sizes, padded ones rows times the longest. `limit` is the most units that a
    batch may hold; running out of memory lowers it. `scale` follows what batches really take.
    """

    base: float
    each: float
    packed: bool
    limit: int
    max_seconds: float
    scale: float = 1.0

    @property
    def budget(self) -> int:
        """How many units a batch should hold now."""
        fits = int((self.max_seconds / self.scale - self.base) / self.each)
        return max(1, min(self.limit, fits))

    def seconds(self, units: int) -> float:
        return self.scale * (self.base + self.each * units)

    def units(self, sizes: Sequence[int]) -> int:
        return sum(sizes) if self.packed else len(sizes) * max(sizes)

    def drain(self, count: int, units: int) -> float:
        """Seconds for that many tickets and units in full batches."""
        batches = min(count, -(-units // self.budget))
        return self.scale * (batches * self.base + units * self.each)

    def learn(self, expected: float, seconds: float) -> None:
        """A batch took `seconds`, not what was expected; outliers count little."""
        ratio = min(2.0, max(0.5, seconds / expected))
        self.scale = min(20.0, max(0.05, self.scale * (1 - CALM + CALM * ratio)))

    def shrink(self, units: int) -> None:
        """A batch of so many units did not fit into the memory."""
        self.limit = max(1, min(self.limit, units // 2))


def fit(samples: Sequence[tuple[int, float]], *, packed: bool, max_seconds: float, max_units: int) -> Cost:
    """A line through the first and the last (units, seconds), and the budget up to which larger batches pay."""
    (few, little), (many, much) = samples[0], samples[-1]
    each = max((much - little) / (many - few), 0.02 * much / many)
    base = max(little - each * few, 0.0) + OVERHEAD_S
    pays = int(EFFICIENT / (1 - EFFICIENT) * base / each)
    return Cost(base, each, packed, max(1, min(max(pays, many), max_units)), max_seconds)
