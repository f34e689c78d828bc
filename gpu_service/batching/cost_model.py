"""Expects how long a batch takes on this device: seconds linear in its units, fitted at warm-up and then corrected."""

from collections.abc import Sequence
from dataclasses import dataclass

EFFICIENT = 0.98  # of the rate of infinitely large batches; still larger batches only delay others
OVERHEAD_S = 2e-4  # to cut a batch and deliver its results
CALM = 0.1  # weight of one batch in the corrections
PROOF = 0.5  # of the expected time: a faster batch disproves the estimate, since noise only adds time
PROVEN = 3  # batches that must have run before a request is refused because of an estimate


@dataclass(slots=True)
class Cost:
    """`base` seconds for any batch and `each` per unit, which is a token or an image.

    A packed batch has as many units as its sizes add up to, a padded one its rows times the largest size. `limit` is
    the most units of a batch; running out of memory lowers it. Batches of up to `enough` units are known to be
    efficient.
    """

    base: float
    each: float
    packed: bool
    limit: int
    max_seconds: float
    enough: int = 1 << 31
    batches: int = 0

    @property
    def budget(self) -> int:
        """How many units a batch should have now."""
        in_time = int((self.max_seconds - self.base) / self.each)
        efficient = int(EFFICIENT / (1 - EFFICIENT) * self.base / self.each)
        return max(1, min(self.limit, in_time, max(efficient, self.enough)))

    @property
    def is_proven(self) -> bool:
        """Whether enough batches have run to trust the estimate."""
        return self.batches >= PROVEN

    def seconds(self, units: int) -> float:
        return self.base + self.each * units

    def units(self, sizes: Sequence[int]) -> int:
        return sum(sizes) if self.packed else len(sizes) * max(sizes)

    def drain(self, count: int, units: int) -> float:
        """Seconds to run `count` tickets with `units` in all, in full batches."""
        batches = min(count, -(-units // self.budget))
        return batches * self.base + units * self.each

    def learn(self, units: int, seconds: float) -> None:
        """Corrects the estimate after a batch of `units` took `seconds`.

        The error is divided between `base` and `each` by their shares in the expected time. A batch that took longer
        counts little, since other processes use the machine too; a far shorter one corrects the estimate immediately.
        """
        self.batches += 1
        expected = self.seconds(units)
        ratio = max(seconds, 1e-6) / expected
        step = 1.0 if ratio < PROOF else CALM
        share = self.base / expected
        change = min(2.0, ratio) ** (step / (share**2 + (1 - share) ** 2))
        self.base *= change**share
        self.each *= change ** (1 - share)

    def shrink(self, units: int) -> None:
        """Lowers the limit after a batch of `units` ran out of memory."""
        self.limit = max(1, min(self.limit, units // 2))


def fit(samples: Sequence[tuple[int, float]], *, packed: bool, max_seconds: float, max_units: int) -> Cost:
    """A line through the first and last (units, seconds); batches up to the last one's size are efficient."""
    (few, little), (many, much) = samples[0], samples[-1]
    each = max((much - little) / (many - few), 0.02 * much / many)
    base = max(little - each * few, 0.0) + OVERHEAD_S
    return Cost(base, each, packed, max_units, max_seconds, enough=many)
