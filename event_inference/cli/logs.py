"""Log files of a local stack: their last lines, and those that follow."""

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

from event_inference.errors import InputError

_SEVERE = {"WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}
_PAUSE_S = 0.3
_NOT_SHOWN = ("severity", "message", "time", "timestamp", "logging.googleapis.com/trace")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a service's log; `fields` are empty if it is not JSON."""

    service: str
    raw: str
    fields: dict[str, Any]

    @property
    def severity(self) -> str:
        return str(self.fields.get("severity", "")).upper()

    @property
    def text(self) -> str:
        if not self.fields:
            return f"{self.service:<14}  {self.raw}"
        details = (
            f"{name}={value}"
            for name, value in self.fields.items()
            if name not in _NOT_SHOWN and isinstance(value, str | int | float)
        )
        moment = str(self.fields.get("time") or self.fields.get("timestamp") or "")[11:19]
        return "  ".join(
            part for part in (f"{self.service:<14}", moment, f"{self.severity:<7}", self._message, *details) if part
        )

    @property
    def _message(self) -> str:
        return str(self.fields.get("message", ""))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines to show: severe ones, those of a job."""

    errors: bool = False
    job: str | None = None

    def includes(self, line: Line) -> bool:
        if self.errors and not (line.severity in _SEVERE or (not line.fields and "Error" in line.raw)):
            return False
        return self.job is None or self.job in line.raw


def read(folder: Path, services: Sequence[str], chosen: Filter, *, lines: int, follow: bool) -> Iterator[Line]:
    """The last lines of each service's log, then, with `follow`, the lines that are added.

    Raises:
        InputError: a service has no log.
    """
    files = {service: (folder / f"{service}.log").open(errors="replace") for service in _names(folder, services)}
    try:
        for service, file in files.items():
            yield from deque(_matching(service, file, chosen), maxlen=lines)
        while follow:
            time.sleep(_PAUSE_S)
            for service, file in files.items():
                yield from _matching(service, file, chosen)
    finally:
        for file in files.values():
            file.close()


def _names(folder: Path, services: Sequence[str]) -> list[str]:
    present = sorted(file.stem for file in folder.glob("*.log"))
    if not present:
        raise InputError(f"There are no logs in {folder}. Start a stack with: einf local up")
    for service in services:
        if service not in present:
            near = get_close_matches(service, present, 1)
            advice = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(present)}."
            raise InputError(f"{service} has no log in {folder}. {advice}")
    return list(services) or present


def _matching(service: str, file: TextIO, chosen: Filter) -> Iterator[Line]:
    """The complete lines up to the file's end."""
    while True:
        position = file.tell()
        raw = file.readline()
        if not raw.endswith("\n"):
            file.seek(position)
            return
        line = Line(service, raw.rstrip("\n"), _fields(raw))
        if chosen.includes(line):
            yield line


def _fields(raw: str) -> dict[str, Any]:
    if not raw.startswith("{"):
        return {}
    try:
        fields = json.loads(raw)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
