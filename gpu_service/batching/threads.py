"""Chooses how threads share the computation of a model's batches, while it runs.

On a calm machine many threads compute each operation together. Beside other busy processes that may be slow: the
threads wait for each other after every operation, so each one that is suspended delays them all. Fewer threads wait
less, and threads that each compute a part of the batch wait only at its end. So other ways are tried now and then.

A trial that loses costs time. So it ends with the first batch that is no faster than usual, and after each round of
trials in vain the next round has twice the distance. A change of speed shows that the load of the machine has changed,
and brings the next trial forward. The first trials follow each other closely: on a machine that was busy during warm-up
too, the first way may be slow without seeming so.
"""

import math
from typing import NamedTuple

MARGIN = 1.25  # by which another way must be faster
TRIAL = 2  # batches that must show it
FIRST = 1  # batch between two trials after the start
SOONEST, LATEST = 4, 512  # batches between two trials after a change, and at most
CHANGED = 1.4  # change of speed that brings the next trial forward
WEIGHT = 1 / 8  # of one batch in the usual slowness
WORST = 8.0  # times the usual slowness, beyond which a batch counts no more


class Way(NamedTuple):
    """A batch is divided into `parts` that run at the same time, with `threads` for each operation of a part."""

    threads: int
    parts: int = 1


class Threads:
    """The way to compute one model's batches: first `most` threads together.

    The other ways are parts with a thread each, if batches are `divisible`, and halves of `most` down to one. `fixed`
    keeps the first way.
    """

    def __init__(self, most: int, *, divisible: bool = False, fixed: bool = False) -> None:
        self.way = self._chosen = Way(most)
        self._others = [] if fixed else others(most, divisible=divisible)  # in the order of their trials
        self._in_vain = 0  # trials since the last change
        self._interval = self._left = FIRST  # batches between two trials, and until the next
        self._usual: float | None = None  # logarithm of the slowness with the chosen way, averaged
        self._before = 0.0  # the same at the last trial
        self._trial: list[float] = []  # logarithms of the slowness of the trial's batches

    def ran(self, slowness: float, before: float | None = None) -> None:
        """Learns from a batch, which took `slowness` times as long as on a calm machine.

        That is by what is known now; by what was known before the batch, it took `before` times as long.
        """
        value = math.log(slowness)
        if before is not None:
            self._correct(value - math.log(before))
        if self.way == self._chosen:
            self._observe(value)
        else:
            self._judge(value)

    def _correct(self, change: float) -> None:
        """Makes earlier batches comparable, after the time on a calm machine was corrected."""
        self._usual = None if self._usual is None else self._usual + change
        self._before += change
        self._trial = [value + change for value in self._trial]

    def _observe(self, value: float) -> None:
        usual = value if self._usual is None else self._usual
        self._usual = usual + WEIGHT * min(value - usual, math.log(WORST))
        self._left -= 1
        if abs(self._usual - self._before) > math.log(CHANGED):
            self._restart()
            self._left = 0
        if self._left <= 0 and self._others:
            self._before, self._trial = self._usual, []
            self.way = self._others[0]

    def _judge(self, value: float) -> None:
        assert self._usual is not None
        self._trial.append(value)
        mean = sum(self._trial) / len(self._trial)
        if mean > self._usual - math.log(MARGIN):
            self._others.append(self._others.pop(0))
            self._lose()
        elif len(self._trial) == TRIAL:
            self._others = [*self._others[1:], self._chosen]
            self._chosen = self.way
            self._usual = self._before = mean
            self._restart()

    def _lose(self) -> None:
        self.way = self._chosen
        self._in_vain += 1
        if self._in_vain % len(self._others) == 0:
            self._interval = min(2 * self._interval, LATEST)
        self._left = self._interval

    def _restart(self) -> None:
        self._in_vain = 0
        self._interval = self._left = SOONEST


def others(most: int, *, divisible: bool) -> list[Way]:
    """All ways but the first, which has `most` threads; parts before fewer threads, which use fewer cores."""
    halves = [Way(most >> shift) for shift in range(1, most.bit_length())]
    return [Way(1, most), Way(1, 2 * most), *halves] if divisible and most > 1 else halves
