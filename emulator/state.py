"""The folder of an emulator's state: private to its user, and used by one emulator at a time."""

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_ENTRIES = (
    "addresses.json*", "debug.sock", "emulator.log*", "gcloud", "jobs.sqlite*", "lock", "logs", "ports.json*",
    "pubsub.sqlite*", "scheduler.sqlite*", "storage", "tokens.*", "vertex.sqlite*", "workflows.sqlite*",
)  # fmt: skip
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class StateError(RuntimeError):
    """The state cannot be used; the message names the folder or file and says what to do."""


class DataInUseError(StateError):
    """Another emulator uses the data folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"another emulator uses {folder}; stop it, or choose another one with --data")


@cache
def restrict() -> int:
    """Make this process create files that only its user can read; returns the earlier mask, for child processes."""
    return os.umask(_OTHERS)


def prepare(folder: Path) -> None:
    """Create the folder, or close an existing one to other users.

    Raises:
        StateError: the folder cannot be created, written or closed, or serves other purposes too.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
        if mode & _OTHERS:
            _close(folder, mode)
    except OSError as error:
        raise unusable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StateError(f"{folder} cannot be written; choose another folder with --data")


def unusable(path: Path, error: OSError) -> StateError:
    return StateError(f"{error.filename or path}: {error.strerror}; choose another folder with --data")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other emulators out of the folder; the lock ends with this process.

    Raises:
        DataInUseError: another emulator uses the folder.
        StateError: the folder cannot be written.
    """
    try:
        file = (folder / "lock").open("w")
    except OSError as error:
        raise unusable(folder, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataInUseError(folder) from error
        yield


def remove(folder: Path) -> None:
    """Remove the state, and the folder unless it contains anything else.

    Raises:
        DataInUseError: an emulator uses the folder.
    """
    if not folder.is_dir():
        return
    with locked(folder):
        for entry in _entries(folder):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _entries(folder: Path) -> list[Path]:
    return [entry for pattern in _ENTRIES for entry in folder.glob(pattern)]


def _close(folder: Path, mode: int) -> None:
    shared = (Path.home(), *(Path.cwd() / "x").parents)
    if mode & stat.S_ISVTX or folder.resolve() in shared:
        raise StateError(
            f"{folder} is open to other users and has other purposes; choose a folder for the state alone with --data"
        )
    folder.chmod(mode & ~_OTHERS & 0o7777)
    for entry in _entries(folder):
        for path in (entry, *entry.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~_OTHERS & 0o7777)
