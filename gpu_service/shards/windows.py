"""Cuts a shard's lines into windows, which are tokenised and sorted together."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gpu_service.serving.sizes import MAX_PREPARED_BYTES, OBJECT_BYTES
from gpu_service.shards import lines
from gpu_service.shards.lines import Line

FIRST_LINES = 512  # of the first window, so that the device starts soon
MAX_LINES = 4096
MAX_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Window:
    """`start` is the index of the first line."""

    start: int
    lines: list[Line]


def cut(source: Iterable[bytes], offset: int, prepared_bytes: Callable[[Any, int], int]) -> Iterator[Window]:
    """Windows of twice as many lines each, up to MAX_LINES, MAX_BYTES, or MAX_PREPARED_BYTES.

    `prepared_bytes` tells the memory that an instance on a line of a given size takes once it is prepared.
    """
    window, limit = Window(offset, []), min(FIRST_LINES, MAX_LINES)
    size = prepared = 0
    for data in source:
        line = lines.parse(data)
        more = prepared_bytes(line.instance, len(data))
        if window.lines and prepared + more > MAX_PREPARED_BYTES:
            yield window
            window, size, prepared = Window(window.start + len(window.lines), []), 0, 0
        window.lines.append(line)
        size += len(data) + (OBJECT_BYTES if line.uri else 0)
        prepared += more
        if len(window.lines) >= limit or size >= MAX_BYTES:
            yield window
            window, limit = Window(window.start + len(window.lines), []), min(2 * limit, MAX_LINES)
            size = prepared = 0
    if window.lines:
        yield window
