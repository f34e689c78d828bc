"""Expects how long batches take on this device, and says how large they should be.

Two things are learned from every batch and kept apart:

- the calm line, `base + each · units`: what a batch takes while nothing else uses the machine;
- how busy the machine is: `speed`, the calm seconds of work done per second, and `stall`, the seconds by which a batch
  exceeds the line, (1 - speed) / batches per second. Both are averages over the last HORIZON_S.

Work of `calm` seconds in `batches` batches is expected to take

    min(calm / speed, calm + stall · batches)

seconds: the first holds if the machine slows down all work alike, the second if it delays each batch. Where the truth
lies between the two, the smaller is too short for other sizes than the recent ones, so it refuses nothing wrongly.

A stall makes batches larger, never smaller: smaller ones would each pay it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gpu_service.batching.calm_line import OVERHEAD_S, CalmLine, Line, Point, through

EFFICIENT = 0.98  # of the rate of infinitely large batches; still larger batches only delay others
HORIZON_S = 5.0
HEAVIEST = 1 / 8  # weight of a single batch in the averages, however long it took
BUSY = 0.75  # speed below which stalls make larger batches worthwhile; noise alone keeps it above
GROWTH = 4  # at most, from the largest batch that ran to the next: further away, the line may be wrong
LONGEST_S = 5.0  # of a batch that is larger because of stalls
PROVEN = 3  # batches that must have run before a request is refused because of an estimate


class Slowness(NamedTuple):
    """How often a batch took its calm time, by the line `now` and by that `before` the batch."""

    now: float
    before: float


@dataclass(slots=True)
class Cost:
    """The cost of one model's batches; a unit is a token or an image.

    A packed batch has as many units as its sizes add up to, a padded one its rows times the largest size. `limit` is
    the most units of a batch; running out of memory lowers it. Batches of up to `enough` units are known to be
    efficient. `max_seconds` limits what a batch takes in addition to its base on a calm machine.
    """

    base: float
    each: float
    packed: bool
    limit: int
    max_seconds: float
    enough: int = 1 << 31
    batches: int = 0
    speed: float = field(default=1.0, init=False)
    rate: float = field(default=0.0, init=False)  # batches per second
    updated: float = field(default=0.0, init=False)  # when `speed` was last brought up to date
    calm_line: CalmLine = field(default_factory=CalmLine, init=False)

    @property
    def budget(self) -> int:
        """How many units a batch should have now."""
        stall = self._excess(BUSY)
        in_time = int(max(self.max_seconds, min(stall, LONGEST_S * self.speed)) / self.each)
        in_time = max(in_time, self.calm_line.untried)
        efficient = int(EFFICIENT / (1 - EFFICIENT) * (self.base + stall) / self.each)
        tried = GROWTH * max(self.enough, self.calm_line.largest)
        return max(1, min(self.limit, in_time, tried, max(efficient, self.enough)))

    @property
    def is_proven(self) -> bool:
        """Whether enough batches have run to trust the estimate."""
        return self.batches >= PROVEN and not self.calm_line.refuted

    @property
    def stall(self) -> float:
        """Seconds by which a batch exceeds the calm line."""
        return self._excess(1.0)

    def _excess(self, normal: float) -> float:
        return max(0.0, normal - self.speed) / self.rate if self.rate else 0.0

    def calm(self, units: int) -> float:
        """Seconds of a batch on a calm machine."""
        return self.base + self.each * units

    def seconds(self, units: int) -> float:
        """Expected seconds of a batch."""
        return self._expected(self.calm(units), 1)

    def drain(self, count: int, units: int) -> float:
        """Expected seconds to run `count` tickets with `units` in all, in full batches."""
        batches = min(count, -(-units // self.budget))
        return self._expected(batches * self.base + units * self.each, batches)

    def _expected(self, calm: float, batches: int) -> float:
        return min(calm / self.speed, calm + self.stall * batches)

    def units(self, sizes: Sequence[int]) -> int:
        return sum(sizes) if self.packed else len(sizes) * max(sizes)

    def learn(self, units: int, seconds: float) -> Slowness:
        """Corrects the estimates after a batch of `units` took `seconds`."""
        self.batches += 1
        seconds = max(seconds, 1e-6)
        before = seconds / self.calm(units)
        self.base, self.each = self.calm_line.learn(Line(self.base, self.each), units, seconds)
        weight = min(seconds / HORIZON_S, HEAVIEST)
        speed = self.calm(units) / seconds
        self.speed += weight * (speed - self.speed)
        self.rate += weight * (1 / seconds - self.rate)
        return Slowness(1 / speed, before)

    def forget(self, now: float) -> None:
        """Trusts less what was learned long ago about how busy the machine is."""
        self.speed = 1.0 + (self.speed - 1.0) * math.exp(-max(0.0, now - self.updated) / HORIZON_S)
        self.updated = now

    def shrink(self, units: int) -> None:
        """Lowers the limit after a batch of `units` ran out of memory."""
        self.limit = max(1, min(self.limit, units // 2))


def fit(samples: Sequence[tuple[int, float]], *, packed: bool, max_seconds: float, max_units: int) -> Cost:
    """The cost from the (units, seconds) of batches of growing size; those up to the last one's size are efficient."""
    points = [Point(units, seconds + OVERHEAD_S) for units, seconds in samples]
    cost = Cost(*through(points), packed, max_units, max_seconds, enough=points[-1].units)
    cost.calm_line.points = {point.units.bit_length(): point for point in points}
    cost.calm_line.unconfirmed = cost.enough
    return cost
