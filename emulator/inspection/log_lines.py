"""Lines of the services' log files, the newest ones that match."""

import json
import re
from pathlib import Path
from typing import Any

_READ_BYTES = 4 * 1024 * 1024  # from the end of a log
_NAME = re.compile(r"[a-z][a-z0-9-]*")


def newest(folder: Path, service: str, contains: list[str], limit: int) -> list[dict[str, Any]]:
    """The last lines of a service's log that contain one of the words, oldest first; all lines without words.

    A line that is not a JSON object becomes `{"message": line}`.
    """
    if not _NAME.fullmatch(service):
        return []
    lines = _tail(folder / f"{service}.log").splitlines()
    chosen = [line for line in lines if not contains or any(word in line for word in contains)]
    return [_parsed(line) for line in chosen[-limit:] if line.strip()]


def _tail(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as log:
        size = log.seek(0, 2)
        log.seek(max(0, size - _READ_BYTES))
        content = log.read()
    if size > _READ_BYTES:
        content = content.partition(b"\n")[2]
    return content.decode(errors="replace")


def _parsed(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {"message": line}
    return value if isinstance(value, dict) else {"message": line}
