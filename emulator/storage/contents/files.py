"""The bytes of objects and unfinished uploads: one file each, in one folder.

A file is complete before a row that refers to it is committed, and is removed after the last such row. A file without a
row was left by a process that died; a sweep after the next start removes it.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from emulator import disk
from emulator.storage.contents.checksums import Checksums, Digest

BLOCK = 1 << 20
_AFTER_DIGITS = "g"  # greater than any hexadecimal digit


@dataclass(frozen=True)
class Content:
    """A finished file."""

    id: str
    size: int
    checksums: Checksums

    def without_md5(self) -> "Content":
        """The content of a composite object, whose MD5 the service does not report."""
        return Content(self.id, self.size, Checksums(self.checksums.crc32c, None))


class Writer:
    """A file that grows until `finish` returns its content."""

    def __init__(self, id: str, folder: Path, path: Path) -> None:
        self.id = id
        self._folder = folder
        with disk.faults(folder):
            self._file = path.open("xb")
        self._digest = Digest()
        self.size = 0

    def write(self, data: bytes) -> None:
        with disk.faults(self._folder):
            self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def finish(self) -> Content:
        with disk.faults(self._folder):
            self._file.close()
        return Content(self.id, self.size, self._digest.checksums())

    def close(self) -> None:
        """Close the file, whose last bytes may be lost."""
        with suppress(OSError):
            self._file.close()


class Contents:
    """The folder of files; their names are random ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._created: set[str] | None = set()  # by this process, until a sweep is over

    def create(self) -> Writer:
        id = secrets.token_hex(16)
        if (created := self._created) is not None:
            created.add(id)
        path = self._path(id)
        with disk.faults(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
        return Writer(id, self.folder, path)

    def open(self, id: str) -> BinaryIO:
        with disk.faults(self.folder):
            return self._path(id).open("rb")

    def size(self, id: str) -> int:
        return self._path(id).stat().st_size

    def append(self, id: str, data: bytes) -> None:
        with disk.faults(self.folder), self._path(id).open("ab") as file:
            file.write(data)

    def truncate(self, id: str, size: int) -> None:
        os.truncate(self._path(id), size)

    def measure(self, id: str) -> Content:
        """The content of a file that several requests wrote; reads the whole file."""
        digest = Digest()
        size = 0
        with self.open(id) as file:
            for block in blocks(file):
                digest.update(block)
                size += len(block)
        return Content(id, size, digest.checksums())

    def remove(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._path(id).unlink(missing_ok=True)

    def sweep(self, known: Callable[[str, str], set[str]]) -> None:
        """Remove every file whose id is not known, and that this process has not created.

        `known` returns the known ids in a range, its end excluded. Other threads may write meanwhile. A second sweep
        has nothing to do.
        """
        if (created := self._created) is None:
            return
        for folder in self.folder.glob("??"):
            files = {entry.name for entry in os.scandir(folder)}
            self.remove(files - known(folder.name, folder.name + _AFTER_DIGITS) - created)
        self._created = None

    def _path(self, id: str) -> Path:
        return self.folder / id[:2] / id


def blocks(file: BinaryIO, length: int | None = None) -> Iterator[bytes]:
    """Blocks from the file's position to its end, or of `length` bytes in all."""
    remaining = length
    while remaining is None or remaining > 0:
        block = file.read(BLOCK if remaining is None else min(BLOCK, remaining))
        if not block:
            return
        yield block
        if remaining is not None:
            remaining -= len(block)
