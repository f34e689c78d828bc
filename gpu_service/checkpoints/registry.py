"""Reads from models.json which models to serve, and finds an entry by name, version or task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from gpu_service.errors import ModelNotFound, StartError

Task = Literal["text-classification", "image-classification"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One model; `source` is a folder (relative to models.json) or a repository of the Hugging Face hub.

    `parameters` and `thresholds` are defaults for its requests; gpu_service/parameters.py checks them.
    """

    name: str
    version: str = "1"
    task: Task
    source: str
    revision: str | None = None
    default: bool = False
    parameters: dict[str, Any] = {}
    thresholds: dict[str, float] = {}


class Registry:
    """The entries of one profile, in order.

    Raises:
        StartError: there are no entries, or two have the same name and version.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        names = [(entry.name, entry.version) for entry in entries]
        if not names or len(set(names)) < len(names):
            raise StartError("The profile must have models, each with a unique name and version.")
        self._defaults: dict[str, Entry] = {}
        for entry in sorted(entries, key=lambda entry: not entry.default):
            self._defaults.setdefault(entry.task, entry)

    def find(self, name: str, version: str | None) -> Entry:
        """The entry with a name or source; without a version, the default of that name or else the last one.

        Raises:
            ModelNotFound: there is no such model or version.
        """
        matches = [entry for entry in self.entries if name in (entry.name, entry.source)]
        if not matches:
            known = ", ".join(dict.fromkeys(entry.name for entry in self.entries))
            raise ModelNotFound(f"There is no model {name!r:.200}; choose one of {known}.")
        if version is None:
            return next((entry for entry in matches if entry.default), matches[-1])
        match = next((entry for entry in matches if entry.version == version), None)
        if match is None:
            versions = ", ".join(entry.version for entry in matches)
            raise ModelNotFound(f"The model {name!r} has no version {version!r:.200}; it has {versions}.")
        return match

    def default(self, task: str) -> Entry:
        """Raises ModelNotFound when no model for the task is served."""
        if task not in self._defaults:
            raise ModelNotFound(f"No model for {task} is served.")
        return self._defaults[task]


def load(path: Path, profile: str) -> Registry:
    """A profile of models.json.

    Raises:
        StartError: the file is missing or malformed, or has no such profile.
    """
    try:
        profiles = msgspec.json.decode(path.read_bytes(), type=dict[str, list[Entry]])
    except (OSError, msgspec.MsgspecError) as error:
        raise StartError(f"{path}: {error}") from error
    if profile not in profiles:
        raise StartError(f"{path} has no profile {profile!r}; choose one of {', '.join(profiles)}.")
    return Registry(profiles[profile])


def folder(entry: Entry, models_file: Path) -> Path | None:
    """The folder of a local model; None for a model of the hub."""
    path = Path(entry.source)
    candidates = [path] if path.is_absolute() else [models_file.parent / path, Path.cwd() / path]
    return next((candidate for candidate in candidates if (candidate / "config.json").is_file()), None)
