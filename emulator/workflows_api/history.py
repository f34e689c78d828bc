"""The step entries and current steps of one execution, in memory while it runs."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator.googleapi import timestamps
from emulator.googleapi.messages import Json
from emulator.workflows import Observer, StepEntry
from emulator.workflows.runtime.http import Request, Response
from emulator.workflows_api.calls import CallLog
from emulator.workflows_api.variables import Rendering

MAX_ENTRIES = 10_000  # per execution; later steps leave no entry
_PROGRESS_TYPES = {
    "STEP_FOR_ITERATION": "PROGRESS_TYPE_FOR",
    "STEP_CONDITION": "PROGRESS_TYPE_SWITCH",
    "STEP_TRY": "PROGRESS_TYPE_RETRY",
    "STEP_RETRY": "PROGRESS_TYPE_RETRY",
    "STEP_PARALLEL_BRANCH_ENTRY": "PROGRESS_TYPE_PARALLEL_BRANCH",
}
_COUNTED_FROM_ZERO = ("STEP_FOR_ITERATION", "STEP_TRY")


@dataclass(slots=True, eq=False)
class _Kept:
    entry: StepEntry
    created: int
    updated: int


class History(Observer):
    """Records an execution; readable at any time as the API's StepEntry resources.

    Args:
        calls: gets its HTTP calls.
        detailed: whether entries have variables and the expected number of iterations, as at that history level.
    """

    def __init__(
        self,
        execution: str,
        now: Callable[[], int] = time.time_ns,
        calls: CallLog | None = None,
        *,
        detailed: bool = False,
    ) -> None:
        self._execution, self._now, self._calls = execution, now, calls
        self.wants_variables = detailed
        self._kept: dict[int, _Kept] = {}
        self._running: dict[int, StepEntry] = {}
        self._last: StepEntry | None = None

    def step_started(self, entry: StepEntry) -> None:
        """Record a new entry as running."""
        now = self._now()
        self._running[entry.entry_id] = entry
        self._last = entry
        if len(self._kept) < MAX_ENTRIES:
            self._kept[entry.entry_id] = _Kept(entry, now, now)

    def step_ended(self, entry: StepEntry) -> None:
        """Record when a step ended; the entry has its state and exception."""
        self._running.pop(entry.entry_id, None)
        if kept := self._kept.get(entry.entry_id):
            kept.updated = self._now()

    def exchanged(
        self, entry: StepEntry, request: Request, response: Response | None, seconds: float, error: str
    ) -> None:
        """Keep a call with its bodies."""
        if self._calls is not None:
            started = self._now() - round(seconds * timestamps.NANOS)
            self._calls.add(
                self._execution, entry.entry_id, request, response, started=started, seconds=seconds, error=error
            )

    def cancel(self) -> None:
        """Mark the running entries as cancelled."""
        for entry in self._running.values():
            entry.state = "STATE_CANCELLED"

    def current_steps(self) -> list[dict[str, str]]:
        """The innermost running steps, one per parallel branch, or the last step if none is running."""
        outer = {entry.parent.entry_id for entry in self._running.values() if entry.parent}
        inner = [entry for number, entry in self._running.items() if number not in outer]
        if not inner and self._last:
            inner = [self._last]
        return [{"routine": entry.routine, "step": entry.step} for entry in inner]

    def entries(self) -> list[Json]:
        """The StepEntry resources in the order of their ids."""
        children: dict[int, list[int]] = {}
        for number, kept in self._kept.items():
            if kept.entry.parent:
                children.setdefault(kept.entry.parent.entry_id, []).append(number)
        siblings, variables = _neighbours(self._kept), self._variables()
        return [
            self._render(kept, children, siblings, variables.get(number)) for number, kept in sorted(self._kept.items())
        ]

    def _variables(self) -> dict[int, Json | None]:
        """The variables of the entries that have some, the last ones first, since that is where failures are."""
        rendering = Rendering()
        ended = [(number, kept.entry.variables) for number, kept in sorted(self._kept.items(), reverse=True)]
        return {number: rendering.of(variables) for number, variables in ended if variables}

    def _render(
        self,
        kept: _Kept,
        children: dict[int, list[int]],
        siblings: dict[int, tuple[int | None, int | None]],
        variables: Json | None,
    ) -> Json:
        entry, number = kept.entry, kept.entry.entry_id
        previous, following = siblings[number]
        navigation = {
            "parent": str(entry.parent.entry_id) if entry.parent else None,
            "children": [str(child) for child in children.get(number, [])] or None,
            "previous": None if previous is None else str(previous),
            "next": None if following is None else str(following),
        }
        rendered = {
            "name": f"{self._execution}/stepEntries/{number}",
            "createTime": timestamps.rfc3339(kept.created),
            "updateTime": timestamps.rfc3339(kept.updated),
            "routine": entry.routine,
            "step": entry.step,
            "stepType": entry.step_type,
            "state": entry.state,
            "exception": {"payload": _payload(entry.exception)} if entry.exception is not None else None,
            "entryId": str(number),
            "navigationInfo": {key: value for key, value in navigation.items() if value} or None,
            "stepEntryMetadata": _metadata(entry, detailed=self.wants_variables) or None,
            "variableData": None if variables is None else {"variables": variables},
        }
        return {key: value for key, value in rendered.items() if value is not None}


def _neighbours(kept: dict[int, _Kept]) -> dict[int, tuple[int | None, int | None]]:
    """The previous and the next entry under the same parent, for each entry."""
    previous: dict[int, int | None] = {}
    following: dict[int, int] = {}
    last: dict[int | None, int] = {}
    for number in sorted(kept):
        parent = kept[number].entry.parent
        key = parent.entry_id if parent else None
        previous[number] = last.get(key)
        if key in last:
            following[last[key]] = number
        last[key] = number
    return {number: (previous[number], following.get(number)) for number in previous}


def _metadata(entry: StepEntry, *, detailed: bool) -> Json:
    metadata: Json = {}
    if entry.progress is not None:
        metadata["progressType"] = _progress_type(entry)
        if str(entry.progress).isdecimal():
            # The API counts iterations and attempts from 1, the interpreter from 0.
            metadata["progressNumber"] = str(int(entry.progress) + (entry.step_type in _COUNTED_FROM_ZERO))
        if isinstance(entry.progress, str):
            metadata["threadId"] = entry.progress
    if entry.expected is not None and detailed:
        metadata["expectedIteration"] = str(entry.expected)
    return metadata


def _progress_type(entry: StepEntry) -> str:
    if entry.parent and entry.parent.step_type == "STEP_PARALLEL_FOR":
        return "PROGRESS_TYPE_PARALLEL_FOR"
    return _PROGRESS_TYPES.get(entry.step_type, "PROGRESS_TYPE_UNSPECIFIED")


def _payload(value: Any) -> str:
    return json.dumps(value, default=str)
