"""Learns what batches take while nothing else uses the machine: a line through the fastest batch of each size.

Other processes can only add time, so the fastest batch says most. Sizes are classes from one power of two to the next.
A larger batch takes at least as long as a smaller one, and twice the units take at most twice as long. So each batch
also limits what batches of all other sizes can take, whatever was measured before: on a busy machine, warm-up may
measure a hundred times too much. Sizes that only warm-up measured, or that a limit refutes, are tried in steps of two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

OVERHEAD_S = 2e-4  # to cut a batch and deliver its results: the least base
LEAST_EACH = 0.02  # of the largest batch's seconds per unit: the least slope
NEW = 3  # batches of a new size, of which the fastest counts; one below the line counts immediately
REFUTED = 0.8  # of a size's fastest time: a limit below shows that it was wrong
RISE = 1.002  # of a size's fastest time at each slower batch, so that a wrong measurement is forgotten


class Line(NamedTuple):
    """`base` seconds for any batch and `each` per unit."""

    base: float
    each: float

    def seconds(self, units: int) -> float:
        return self.base + self.each * units


@dataclass(slots=True)
class Point:
    """The fastest batch of one size class; it counts once `missing` further ones have run."""

    units: int
    seconds: float
    missing: int = 0
    ran: bool = False  # since warm-up


@dataclass(slots=True)
class CalmLine:
    """The fastest batches by size class.

    `unconfirmed` is the largest size that warm-up measured, or that was refuted, and that has not run since.
    """

    points: dict[int, Point] = field(default_factory=dict)
    unconfirmed: int = 0
    refuted: bool = False  # the size `unconfirmed` was
    largest: int = 1  # size of a batch that ran

    @property
    def untried(self) -> int:
        """The next size to try, 0 when all are confirmed."""
        return min(self.unconfirmed, 2 * self.largest)

    def learn(self, line: Line, units: int, seconds: float) -> Line:
        """The line after a batch of `units` took `seconds`."""
        point = self.points.setdefault(units.bit_length(), Point(units, seconds, NEW))
        point.ran = True
        point.missing = 0 if seconds < line.seconds(units) else max(0, point.missing - 1)
        same_size = seconds * line.seconds(point.units) / line.seconds(units)
        if same_size <= point.seconds:
            point.units, point.seconds = units, seconds
            self._keep_limits(point)
        elif not point.missing:
            point.seconds = min(point.seconds * RISE, same_size)
            self._keep_limits(point, rise=RISE)
        self._limit_others(units, seconds)
        self._confirm(units)
        return _fitted(line, self._proven)

    @property
    def _proven(self) -> list[Point]:
        return [point for point in self.points.values() if not point.missing]

    def _keep_limits(self, point: Point, rise: float = 1.0) -> None:
        """Keeps the point within the limits of the other sizes, which `rise` as far as they hold it down."""
        for other in self._proven:
            most = other.seconds * max(1.0, point.units / other.units)
            if most < point.seconds:
                point.seconds = most
                other.seconds *= rise

    def _limit_others(self, units: int, seconds: float) -> None:
        """Corrects the other sizes by the batch, and drops those that it refutes."""
        for key, other in list(self.points.items()):
            most = seconds * max(1.0, other.units / units)
            if most < REFUTED * other.seconds:
                del self.points[key]
                self.unconfirmed, self.refuted = max(self.unconfirmed, other.units), True
            else:
                other.seconds = min(other.seconds, most)

    def _confirm(self, units: int) -> None:
        """Drops what warm-up measured, once a batch of about its size has run and two sizes are proven."""
        self.largest = max(self.largest, units)
        if 2 * units > self.unconfirmed:
            self.unconfirmed, self.refuted = 0, False
        ran = {key: point for key, point in self.points.items() if point.ran}
        if not self.unconfirmed and sum(not point.missing for point in ran.values()) > 1:
            self.points = ran


def _fitted(line: Line, points: Sequence[Point]) -> Line:
    """A single point moves the line as a whole; more points give a new line."""
    if len(points) > 1:
        return through(points)
    change = points[0].seconds / line.seconds(points[0].units) if points else 1.0
    return Line(line.base * change, line.each * change)


def through(points: Sequence[Point]) -> Line:
    """The line with the least squared relative errors at two or more points."""
    weights = [point.seconds**-2 for point in points]
    units = _mean(weights, [point.units for point in points])
    seconds = _mean(weights, [point.seconds for point in points])
    spread = _mean(weights, [(point.units - units) ** 2 for point in points])
    slope = _mean(weights, [(point.units - units) * (point.seconds - seconds) for point in points]) / spread
    largest = max(points, key=lambda point: point.units)
    each = max(slope, LEAST_EACH * largest.seconds / largest.units)
    return Line(max(seconds - each * units, OVERHEAD_S), each)


def _mean(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)
