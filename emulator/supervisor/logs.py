"""Log files: one for the emulator itself, one for each process that it starts."""

import asyncio
import json
import logging
import sys
from collections import deque
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from textwrap import shorten

from emulator.supervisor.console import Console, Highlights

_WIDTH = 300  # of a line on the console; the log file has all of it
_TAIL_LINES = 25
_LONGEST_LINE = 1 << 20
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class ProcessLog:
    """The log file of one process; `tail` holds its last lines.

    A file that exceeds `limit_mb` begins anew; its predecessor is kept as `.1`. What the disk has no space for is lost.
    """

    def __init__(self, name: str, file: Path, console: Console, limit_mb: float = 10) -> None:
        self.file = file
        self._name, self._console, self._limit = name, console, int(limit_mb * 1_000_000)
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)

    async def copy(self, stream: asyncio.StreamReader) -> None:
        """Append a process's output to the file until the process ends, and show what needs attention."""
        highlights, rest = Highlights(), b""
        while chunk := await stream.read(65536):
            with suppress(OSError):  # the process must not wait for a disk that is full
                self._append(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._show(highlights, line.decode(errors="replace"))
            if len(rest) > _LONGEST_LINE:
                self._show(highlights, rest.decode(errors="replace"))
                rest = b""
        if rest:
            self._show(highlights, rest.decode(errors="replace"))

    def clear(self) -> None:
        """Begin anew, as at the start of the emulator."""
        self.file.write_bytes(b"")

    def _append(self, chunk: bytes) -> None:
        with self.file.open("ab", buffering=0) as log:
            full = log.tell() > 0 and log.tell() + len(chunk) > self._limit
            if not full:
                log.write(chunk)
        if full:
            self.file.replace(self.file.with_name(f"{self.file.name}.1"))
            self.file.write_bytes(chunk)

    def _show(self, highlights: Highlights, line: str) -> None:
        self.tail.append(line)
        text = line if self._console.verbose else highlights.pick(line)
        if text is not None:
            self._console.report(self._name, text)


class _LogFile(RotatingFileHandler):
    """What the disk has no space for is lost."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of the standard library
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def log_to(file: Path, console: Console, limit_mb: int = 10) -> None:
    """Write the emulator's own log to a file as JSON lines, and warnings to the console as well.

    A file that exceeds `limit_mb` begins anew; its predecessor is kept as `.1`.
    """
    file.write_bytes(b"")
    handler = _LogFile(file, maxBytes=limit_mb * 1_000_000, backupCount=1, encoding="utf-8")
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
