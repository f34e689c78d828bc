"""Which models are served: reads models.json and finds an entry by name, version or task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from gpu_service.errors import ModelNotFound, StartError

Task = Literal["text-classification", "image-classification"]
OWN = Path(__file__).parents[1] / "models.json"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One model; `source` is a folder (beside models.json when relative) or a repository of the Hugging Face hub."""

    name: str
    version: str = "1"
    task: Task
    source: str
    revision: str | None = None
    default: bool = False


class Registry:
    """The entries of one profile, in their order.

    Raises:
        StartError: two entries have the same name and version, or there are none.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        names = [(entry.name, entry.version) for entry in entries]
        if not names or len(set(names)) < len(names):
            raise StartError("The profile names no model, or one twice.")
        self._defaults: dict[str, Entry] = {}
        for entry in sorted(entries, key=lambda entry: not entry.default):
            self._defaults.setdefault(entry.task, entry)

    def find(self, name: str, version: str | None) -> Entry:
        """By name (or source); without a version the default one of that name, else the last listed.

        Raises:
            ModelNotFound: there is no such model, or not in that version.
        """
        named = [entry for entry in self.entries if name in (entry.name, entry.source)]
        if not named:
            known = ", ".join(dict.fromkeys(entry.name for entry in self.entries))
            raise ModelNotFound(f"There is no model {name!r:.200}; there are {known}.")
        if version is None:
            return next((entry for entry in named if entry.default), named[-1])
        found = next((entry for entry in named if entry.version == version), None)
        if found is None:
            versions = ", ".join(entry.version for entry in named)
            raise ModelNotFound(f"The model {name!r} has no version {version!r:.200}; it has {versions}.")
        return found

    def default(self, task: str) -> Entry:
        """Raises ModelNotFound when no model of that task is served."""
        if task not in self._defaults:
            raise ModelNotFound(f"No model for {task} is served.")
        return self._defaults[task]


def load(path: Path, profile: str) -> Registry:
    """The profile of a models.json, its folders made absolute.

    Raises:
        StartError: the file cannot be read, is not of that shape, or has no such profile.
    """
    try:
        profiles = msgspec.json.decode(path.read_bytes(), type=dict[str, list[Entry]])
    except (OSError, msgspec.MsgspecError) as error:
        raise StartError(f"{path}: {error}") from error
    if profile not in profiles:
        raise StartError(f"{path} has no profile {profile!r}; it has {', '.join(profiles)}.")
    return Registry(profiles[profile])


def folder(entry: Entry, beside: Path) -> Path | None:
    """Where a local model lies; None for one of the hub."""
    path = Path(entry.source)
    candidates = [path] if path.is_absolute() else [beside.parent / path, Path.cwd() / path]
    return next((candidate for candidate in candidates if (candidate / "config.json").is_file()), None)
