"""Names of jobs and documents, as the pipeline derives them from an object (docs/architecture.md)."""

import hashlib
import re

FOLDERS = ("results", "rejected", "failed")
"""Of terminal documents, the valid one first where a replay makes two exist for a moment."""

_MAX_OBJECT_NAME = 1024  # bytes of UTF-8
_LONGEST_DECORATION = len("rejected/.jsonl")
_MARK = re.compile(r"~[0-9a-f]{32}\Z")


def is_job(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def job(bucket: str, name: str, generation: int) -> str:
    return _digest(f"{bucket}/{name}#{generation}")


def job_of_message(topic: str, message_id: str) -> str:
    return _digest(f"{topic}/{message_id}")


def document(name: str, generation: int) -> str:
    """The document's name without folder and suffix; a long object name is cut and ends in a digest."""
    return _fit(name, f"/{generation}")


def latest(name: str) -> str:
    """The copy of the newest generation's document."""
    return f"latest/{_fit(name)}.json"


def _fit(name: str, suffix: str = "") -> str:
    room = _MAX_OBJECT_NAME - _LONGEST_DECORATION - len(suffix.encode())
    encoded = name.encode()
    if len(encoded) <= room and not _MARK.search(name):
        return name + suffix
    mark = "~" + _digest(name)
    return encoded[: room - len(mark)].decode(errors="ignore") + mark + suffix


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
