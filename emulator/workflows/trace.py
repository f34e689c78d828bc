"""`run --trace`: one line per step, with its duration."""

import time
from collections.abc import Callable
from typing import TextIO

from emulator.terminal import escaped
from emulator.workflows.runtime.observer import FAILED, Observer, StepEntry
from emulator.workflows.values import safe_json

_SHOWN = 120


class Tracer(Observer):
    """Prints a line when a step ends, indented by its depth."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.perf_counter) -> None:
        self.out = out
        self.clock = clock
        self._started: dict[int, float] = {}

    def step_started(self, entry: StepEntry) -> None:
        self._started[entry.entry_id] = self.clock()

    def step_ended(self, entry: StepEntry) -> None:
        milliseconds = (self.clock() - self._started.pop(entry.entry_id)) * 1000
        depth, parent = 0, entry.parent
        while parent is not None:
            depth, parent = depth + 1, parent.parent
        kind = entry.step_type.removeprefix("STEP_").lower().replace("_", " ")
        which = "" if entry.progress is None else f" {entry.progress}"
        line = f"{milliseconds:10.3f} ms  {'  ' * depth}{entry.routine}/{entry.step} ({kind}{which}, line {entry.line})"
        if entry.state == FAILED:
            line += f" failed: {safe_json(entry.exception)[:_SHOWN]}"
        print(escaped(line), file=self.out)
