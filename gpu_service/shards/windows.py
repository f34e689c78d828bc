"""Cuts a shard's lines into windows, which are tokenised and sorted together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gpu_service.shards import lines
from gpu_service.shards.lines import Line

FIRST_LINES = 512  # of the first window, so that the device starts soon
MAX_LINES = 4096
MAX_BYTES = 8 << 20
OBJECT_BYTES = 128 << 10  # assumed size of an object that a line names


@dataclass(frozen=True, slots=True)
class Window:
    """`start` is the index of the first line."""

    start: int
    lines: list[Line]


def cut(source: Iterable[bytes], offset: int) -> Iterator[Window]:
    """Windows of twice as many lines each, up to MAX_LINES or MAX_BYTES."""
    window, size, limit = Window(offset, []), 0, min(FIRST_LINES, MAX_LINES)
    for data in source:
        line = lines.parse(data)
        window.lines.append(line)
        size += len(data) + (OBJECT_BYTES if line.uri else 0)
        if len(window.lines) >= limit or size >= MAX_BYTES:
            yield window
            window, size, limit = Window(window.start + len(window.lines), []), 0, min(2 * limit, MAX_LINES)
    if window.lines:
        yield window
