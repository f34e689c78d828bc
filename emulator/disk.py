"""Databases and files of the state, whose faults name the file and say what to do."""

import errno
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from emulator.state import StateError

logger = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_LOG_BYTES = 16 << 20  # to which SQLite cuts its write-ahead log after a checkpoint
_PRIMARY_CODE = 0xFF  # the rest of a SQLite code says more of the same error


class DiskError(StateError):
    """The disk or the system refused a read or a write."""


class DiskFullError(DiskError):
    """There is no space left."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} cannot grow: the disk or quota is full; free some space")


def connect(path: Path | None, **options: Any) -> sqlite3.Connection:
    """Open a database, in memory for None; its faults are raised as DiskError."""
    try:
        connection = sqlite3.connect(":memory:" if path is None else path, factory=_Connection, **options)
    except sqlite3.Error as error:
        raise _translated(error, path) from error
    connection.path = path
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # effective in a new file only
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    return connection


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Raise an OSError of the block as DiskError; `path` is what the block writes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(path) from error
        raise DiskError(f"{path} cannot be used: {error.strerror}; see its folder's permissions and limits") from error


@cache
def report(problem: str) -> None:
    """Say on the terminal that the state has a problem, once."""
    logger.critical("requests are refused: %s", problem)


class _Connection(sqlite3.Connection):
    path: Path | None = None

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*arguments)
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        try:
            return super().executemany(*arguments)
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        try:
            return super().executescript(*arguments)
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error


def _translated(error: sqlite3.Error, path: Path | None) -> Exception:
    """The error as DiskError if its cause is the disk."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & _PRIMARY_CODE
    if path is None:
        return error
    if code == sqlite3.SQLITE_FULL:
        return DiskFullError(path)
    if code in _DAMAGED:
        return DiskError(f"{path} is damaged; restore a copy, or remove all state with: python -m emulator clean")
    if code in _UNWRITABLE:
        return DiskError(f"{path} cannot be written; change its permissions, or choose another folder with --data")
    if code == sqlite3.SQLITE_IOERR:
        return DiskError(f"{path} cannot be written or read ({error}); check the disk and its free space")
    return error
