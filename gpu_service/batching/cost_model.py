"""What a batch costs on this device: seconds as a line over its units, from warm-up and then from what ran."""

from collections.abc import Sequence
from dataclasses import dataclass

EFFICIENT = 0.98  # of the rate that endless batches would reach: larger ones only make others wait
OVERHEAD_S = 2e-4  # for cutting a batch and handing out its results
CALM = 0.1  # weight of one batch in what is learnt while running
PROOF = 0.5  # of the expected time: what is done in less was never that dear, since noise only adds
PROVEN = 3  # batches that must have run before anybody is refused on the strength of an estimate


@dataclass(slots=True)
class Cost:
    """`base` seconds for any batch and `each` per unit: a token, or an image.

    Packed batches cost the sum of their sizes, padded ones rows times the longest. `limit` is the most units that a
    batch may hold; running out of memory lowers it. Up to `enough` units a larger batch pays, whatever the line says.
    """

    base: float
    each: float
    packed: bool
    limit: int
    max_seconds: float
    enough: int = 1 << 31
    seen: int = 0

    @property
    def budget(self) -> int:
        """How many units a batch should hold now."""
        fits = int((self.max_seconds - self.base) / self.each)
        pays = int(EFFICIENT / (1 - EFFICIENT) * self.base / self.each)
        return max(1, min(self.limit, fits, max(pays, self.enough)))

    @property
    def is_proven(self) -> bool:
        """Whether enough has run to trust what is expected."""
        return self.seen >= PROVEN

    def seconds(self, units: int) -> float:
        return self.base + self.each * units

    def units(self, sizes: Sequence[int]) -> int:
        return sum(sizes) if self.packed else len(sizes) * max(sizes)

    def drain(self, count: int, units: int) -> float:
        """Seconds for that many tickets and units in full batches."""
        batches = min(count, -(-units // self.budget))
        return batches * self.base + units * self.each

    def learn(self, units: int, seconds: float) -> None:
        """A batch of so many units took `seconds`.

        The error goes to `base` and `each` by their share in what was expected. A batch that took longer counts
        little, for others use the machine too; one that took far less proves the estimate wrong at once.
        """
        self.seen += 1
        expected = self.seconds(units)
        ratio = max(seconds, 1e-6) / expected
        step = 1.0 if ratio < PROOF else CALM
        share = self.base / expected
        change = min(2.0, ratio) ** (step / (share**2 + (1 - share) ** 2))
        self.base *= change**share
        self.each *= change ** (1 - share)

    def shrink(self, units: int) -> None:
        """A batch of so many units did not fit into the memory."""
        self.limit = max(1, min(self.limit, units // 2))


def fit(samples: Sequence[tuple[int, float]], *, packed: bool, max_seconds: float, max_units: int) -> Cost:
    """A line through the first and the last (units, seconds); the last one's size is known to pay."""
    (few, little), (many, much) = samples[0], samples[-1]
    each = max((much - little) / (many - few), 0.02 * much / many)
    base = max(little - each * few, 0.0) + OVERHEAD_S
    return Cost(base, each, packed, max_units, max_seconds, enough=many)
