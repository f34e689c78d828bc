"""Reads from models.json which models to serve, and finds an entry by name, version or task."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from gpu_service import parameters
from gpu_service.checkpoints import models_file, routes, sources
from gpu_service.errors import ModelNotFound, StartError
from gpu_service.settings import Load

Task = Literal[
    "text-classification",
    "token-classification",
    "zero-shot-classification",
    "feature-extraction",
    "image-classification",
    "object-detection",
]
Weights = tuple[str, str, Task, str, str | None]

Engine = Literal["gpu_service", "vertex"]
ENDPOINT = re.compile(r"projects/[^/]+/locations/[a-z0-9-]+/endpoints/[^/]+")
IMAGE_TASKS: tuple[Task, ...] = ("image-classification", "object-detection")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One model; `source` is a folder (relative to models.json), a gs:// folder or a repository of the hub.

    `parameters` and `thresholds` are defaults for its requests; gpu_service/parameters.py checks them. `load` is when
    it loads: at the start, or lazily for its first request; by default, only the default models load at the start.
    With the engine `vertex`, the pipeline predicts on `endpoint`, and this service does not load the model.
    """

    name: str
    version: str = "1"
    task: Task
    source: str
    revision: str | None = None
    default: bool = False
    parameters: dict[str, Any] = {}
    thresholds: dict[str, Any] = {}
    engine: Engine = "gpu_service"
    endpoint: str | None = None
    load: Load | None = None

    @property
    def key(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def weights(self) -> Weights:
        """What a change of requires loading again."""
        return self.name, self.version, self.task, self.source, self.revision


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

    def is_default(self, entry: Entry) -> bool:
        return self._defaults[entry.task] is entry

    def loads_at_start(self, entry: Entry) -> bool:
        return entry.load == "start" or (entry.load is None and self.is_default(entry))

    def succeeding(self, previous: "Registry", unready: Collection[Weights]) -> "Registry":
        """This registry while some of its models are not ready: in their place, previous ones go on.

        That holds for an entry whose weights changed, for a task's default, and for a name's version.
        """
        if not any(entry.weights in unready for entry in self.entries):
            return self
        before = {entry.key: entry for entry in previous.entries}
        entries = {
            entry.key: before.get(entry.key, entry) if entry.weights in unready else entry for entry in self.entries
        }
        defaults = [
            previous._defaults.get(task, entry) if entry.weights in unready else entry
            for task, entry in self._defaults.items()
        ]
        chosen = {}
        for name in dict.fromkeys(entry.name for entry in (*entries.values(), *defaults)):
            registry = self if any(entry.name == name for entry in self.entries) else previous
            entry = registry.find(name, None)
            if entry.weights in unready and any(each.name == name for each in previous.entries):
                entry = previous.find(name, None)
            chosen[name] = entry
        entries = {entry.key: entry for entry in (*defaults, *chosen.values())} | entries
        is_default = {entry.key for entry in defaults if chosen[entry.name].key == entry.key}
        last = [entry.key for entry in chosen.values() if entry.key not in is_default]
        order = [*(key for key in entries if key not in last), *last]
        return Registry([replace(entries[key], default=key in is_default) for key in order])


def load(models: Path | str, profile: str | None, when: Load | None = None) -> Registry:
    """A profile of a models.json, given as a path or a gs:// URI; without a name, its only profile.

    `when` is when models are loaded whose entry does not say so.

    Raises:
        StartError: the file has no such profile, or the profile has mistakes; the message lists all of them.
        StorageFailed
    """
    chosen, entries = models_file.profile(models, profile)
    mistakes = list(_mistakes(entries, models)) or list(routes.mistakes(models_file.rules(models), _known(entries)))
    if mistakes:
        raise StartError("\n".join(f"{models}: profile {chosen!r}, {mistake}." for mistake in mistakes))
    converted = [msgspec.convert({"load": when, **entry}, Entry) for entry in entries]
    served = [entry for entry in converted if entry.engine == "gpu_service"]
    if not served:
        raise StartError(f"{models}: profile {chosen!r} has only models with the engine vertex, none for this service.")
    return Registry(served)


def _mistakes(entries: Sequence[Any], models: Path | str) -> Iterator[str]:
    valid: list[tuple[str, Entry]] = []
    for number, entry in enumerate(entries, 1):
        place = _place(number, entry)
        problems = list(models_file.problems(entry, Entry))
        yield from (f"{place}: {problem}" for problem in problems)
        if not problems:
            valid.append((place, msgspec.convert(entry, Entry)))
    for place, entry in valid:
        yield from (f"{place}: {problem}" for problem in _engine_problems(entry))
        if entry.engine == "gpu_service":
            yield from (f"{place}: {problem}" for problem in _source_problems(entry, models))
        yield from (f"{place}: {problem}" for problem in _parameter_problems(entry))
    yield from _contradictions(valid)


def _known(entries: Sequence[Any]) -> list[routes.Known]:
    """The entries as rules refer to them."""
    return [(entry["name"], entry["source"], _reads(entry["task"])) for entry in entries]


def _reads(task: str) -> str:
    return "image" if task in IMAGE_TASKS else "text"


def _place(number: int, entry: Any) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"entry {number} ({name:.100})" if isinstance(name, str) else f"entry {number}"


def _engine_problems(entry: Entry) -> Iterator[str]:
    if (entry.engine == "vertex") != (entry.endpoint is not None):
        yield "'engine' vertex and 'endpoint' belong together; give both or neither"
    elif entry.endpoint is not None and not ENDPOINT.fullmatch(entry.endpoint):
        yield f"'endpoint' must be projects/P/locations/REGION/endpoints/ID, not {entry.endpoint!r:.200}"


def _source_problems(entry: Entry, models: Path | str) -> Iterator[str]:
    try:
        source = sources.locate(entry.source, models)
    except StartError as error:
        yield error.message
        return
    if entry.revision is not None and not isinstance(source, sources.Repository):
        yield "'revision' is for models of the hub; remove it, since the source is a folder"


def _parameter_problems(entry: Entry) -> Iterator[str]:
    if misplaced := [name for name in parameters.LIMITS if name in entry.parameters]:
        yield f"{' and '.join(misplaced)} must be in 'thresholds', not in 'parameters'"
        return
    try:
        parameters.of_model({}, entry.task, entry.parameters, entry.thresholds)
    except StartError as error:
        yield error.message.removesuffix(".")


def _contradictions(entries: Sequence[tuple[str, Entry]]) -> Iterator[str]:
    first: dict[tuple[str, str], str] = {}
    default: dict[str, str] = {}
    for place, entry in entries:
        earlier = first.setdefault((entry.name, entry.version), place)
        if earlier != place:
            yield f"{place}: {earlier} has the same name and version {entry.version!r}"
        if entry.default and default.setdefault(entry.task, place) != place:
            yield f"{place}: {default[entry.task]} is the default for {entry.task} too; only one model may be"
