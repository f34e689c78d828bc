"""The notes on inputs that wait, as the work bucket lists them: by name, which is by time."""

import bisect
import heapq
import itertools
from collections.abc import Collection, Sequence
from datetime import datetime

from messaging import lanes, runs
from pipeline.waiting import Note


class Notes:
    """The notes by lane, so that those of a lane are found without the others."""

    def __init__(self) -> None:
        self._lanes: list[list[Note]] = [[] for _ in lanes.ALL]
        self.count = 0

    def add(self, note: Note) -> None:
        of_lane = self._lanes[lanes.of(note.job)]
        if of_lane and _order(note) < _order(of_lane[-1]):
            bisect.insort(of_lane, note, key=_order)
        else:
            of_lane.append(note)
        self.count += 1

    def first(self) -> Note | None:
        return min((of_lane[0] for of_lane in self._lanes if of_lane), key=lambda note: note.due, default=None)

    def listed(self, held: Collection[int], limit: int) -> list[Note]:
        """Those in the held lanes, of the first `limit` in all; jobs spread evenly over the lanes."""
        of_lanes = [self._lanes[lane] for lane in held]
        ordered = heapq.merge(*of_lanes, key=_order) if len(of_lanes) > 1 else of_lanes[0]
        return list(itertools.islice(ordered, limit * len(of_lanes) // lanes.COUNT))

    def remove(self, notes: Sequence[Note]) -> None:
        started = {note.job for note in notes}
        for lane in {lanes.of(note.job) for note in notes}:
            of_lane = self._lanes[lane]
            last = max(index for index, note in enumerate(of_lane[: 4 * runs.MAX_NOTES]) if note.job in started)
            of_lane[: last + 1] = [note for note in of_lane[: last + 1] if note.job not in started]
        self.count -= len(notes)


def _order(note: Note) -> tuple[bool, datetime]:
    return note.is_beyond_share, note.due
