"""What the supervisor tells its user: its own progress, and of the services' logs what needs attention."""

import asyncio
import json
import logging
import os
import re
import sys
from collections import deque
from pathlib import Path
from textwrap import shorten

_SEVERE = {"WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}
_PLAIN_SEVERE = re.compile(r"\b(?:WARNING|ERROR|CRITICAL|FATAL)\b")
_WIDTH = 300  # what is longer can be read in the log file
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Console:
    """Prints lines that begin with the name of the part they are about."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.width = len("emulator")

    def say(self, text: str = "") -> None:
        try:
            print(text, flush=True)
        except BrokenPipeError:  # whoever read this, `head` for example, has gone; the stack goes on
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115

    def part(self, name: str, text: str) -> None:
        for line in text.splitlines():
            self.say(f"{name:<{self.width}}  {line}")

    def problem(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Attention:
    """Finds in one service's output what a user should see: severe lines, and how a traceback ends."""

    def __init__(self) -> None:
        self._in_traceback = False

    def look(self, line: str) -> str | None:
        """The line as it should be shown, None if it needs no attention."""
        if line.startswith("Traceback (most recent call last)"):
            self._in_traceback = True
            return None
        if self._in_traceback:
            if not line.strip() or line[0].isspace():
                return None
            self._in_traceback = False
            return line
        if line.startswith("{"):
            return self._structured(line)
        return line if _PLAIN_SEVERE.search(line) else None

    def _structured(self, line: str) -> str | None:
        try:
            fields = json.loads(line)
        except ValueError:
            return None
        if str(fields.pop("severity", "")).upper() not in _SEVERE:
            return None
        message = str(fields.pop("message", ""))
        shown = (f"{name}={value}" for name, value in fields.items() if isinstance(value, str | int | float))
        return " ".join((message.split("\n")[0], *shown))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the record's extra fields beside severity and message."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"severity": record.levelname, "message": record.getMessage(), "logger": record.name}
        fields["time"] = self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z")
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO if console.verbose else logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        extra = (f"{name}={value}" for name, value in vars(record).items() if name not in _STANDARD)
        self._console.part("emulator", shorten(" ".join((record.getMessage(), *extra)), _WIDTH, placeholder=" …"))
        if record.exc_info and record.exc_info[1]:
            self._console.part("emulator", repr(record.exc_info[1]))


def log_to(file: Path, console: Console) -> None:
    """Send the emulator's own log to a file as JSON lines, and warnings to the console as well."""
    written = logging.FileHandler(file, mode="w", encoding="utf-8")
    written.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[written, _ConsoleHandler(console)], force=True)
    for chatty in ("uvicorn", "asyncio", "aiohttp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


_TAIL = 25


class Output:
    """Where the output of one part goes; `tail` holds its last lines."""

    def __init__(self, name: str, log: Path, console: Console) -> None:
        self.name, self.log, self.console = name, log, console
        self.tail: deque[str] = deque(maxlen=_TAIL)

    async def copy(self, stream: asyncio.StreamReader) -> None:
        """Append what a process writes to the log file until it has ended, and show what needs attention."""
        attention, rest = Attention(), b""
        with self.log.open("ab") as log:
            while chunk := await stream.read(65536):
                log.write(chunk)
                log.flush()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._show(attention, line.decode(errors="replace"))
            if rest:
                self._show(attention, rest.decode(errors="replace"))

    def _show(self, attention: Attention, line: str) -> None:
        self.tail.append(line)
        shown = line if self.console.verbose else attention.look(line)
        if shown is not None:
            self.console.part(self.name, shown)
