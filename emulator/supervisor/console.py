"""The terminal of `python -m emulator`: progress, and those lines of the services' output that need attention."""

import json
import os
import re
import sys
from pathlib import Path

from emulator.terminal import escaped

_SEVERE = {"WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}
_PLAIN_SEVERE = re.compile(r"\b(?:WARNING|ERROR|CRITICAL|FATAL)\b")


class Console:
    """Prints lines that begin with the name of the service, job or emulator that they are about.

    Attributes:
        verbose: show everything that processes print.
        width: of the column of names.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.width = len("emulator")

    def say(self, text: str = "") -> None:
        try:
            print(escaped(text), flush=True)
        except BrokenPipeError:  # the reader, such as `head`, has gone; the stack runs on
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115

    def report(self, name: str, text: str) -> None:
        for line in escaped(text).splitlines():
            self.say(f"{name:<{self.width}}  {line}")

    def fail(self, text: str) -> None:
        print(escaped(text), file=sys.stderr, flush=True)


class Highlights:
    """Picks from the output of one process what a user should see: severe lines, and the last line of a traceback."""

    def __init__(self) -> None:
        self._in_traceback = False

    def pick(self, line: str) -> str | None:
        """The line as the console shows it; None if it needs no attention."""
        if line.startswith("Traceback (most recent call last)"):
            self._in_traceback = True
            return None
        if self._in_traceback:
            if not line.strip() or line[0].isspace():
                return None
            self._in_traceback = False
            return line
        if line.startswith("{"):
            return _structured(line)
        return line if _PLAIN_SEVERE.search(line) else None


def _structured(line: str) -> str | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    if str(fields.pop("severity", "")).upper() not in _SEVERE:
        return None
    message = str(fields.pop("message", ""))
    details = (f"{name}={value}" for name, value in fields.items() if isinstance(value, str | int | float))
    return " ".join((message.split("\n")[0], *details))
