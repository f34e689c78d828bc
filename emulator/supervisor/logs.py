"""Log files: one for the emulator itself, one for each process that it starts."""

import asyncio
import json
import logging
from collections import deque
from pathlib import Path
from textwrap import shorten

from emulator.supervisor.console import Console, Highlights

_WIDTH = 300  # of a line on the console; the log file has all of it
_TAIL_LINES = 25
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class ProcessLog:
    """The log file of one process; `tail` holds its last lines."""

    def __init__(self, name: str, file: Path, console: Console) -> None:
        self._name, self._file, self._console = name, file, console
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)

    async def copy(self, stream: asyncio.StreamReader) -> None:
        """Append a process's output to the file until the process ends, and show what needs attention."""
        highlights, rest = Highlights(), b""
        with self._file.open("ab") as log:
            while chunk := await stream.read(65536):
                log.write(chunk)
                log.flush()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._show(highlights, line.decode(errors="replace"))
            if rest:
                self._show(highlights, rest.decode(errors="replace"))

    def _show(self, highlights: Highlights, line: str) -> None:
        self.tail.append(line)
        text = line if self._console.verbose else highlights.pick(line)
        if text is not None:
            self._console.report(self._name, text)


def log_to(file: Path, console: Console) -> None:
    """Write the emulator's own log to a file as JSON lines, and warnings to the console as well."""
    handler = logging.FileHandler(file, mode="w", encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler, _ConsoleHandler(console)], force=True)
    for verbose in ("uvicorn", "asyncio", "aiohttp"):
        logging.getLogger(verbose).setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: severity, message and the record's extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            **_extra(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO if console.verbose else logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        details = (f"{name}={value}" for name, value in _extra(record).items())
        self._console.report("emulator", shorten(" ".join((record.getMessage(), *details)), _WIDTH, placeholder=" …"))
        if record.exc_info and record.exc_info[1]:
            self._console.report("emulator", repr(record.exc_info[1]))


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}
