"""The served models: found by name and version or by the kind of an instance, listed, and replaced by newer ones."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from gpu_service.checkpoints.registry import Entry, Registry
from gpu_service.errors import InvalidRequest, ModelNotFound, ModelUnavailable
from gpu_service.inputs.instances import Kind
from gpu_service.serving.model import Model
from gpu_service.serving.residents import Resident, Residents
from gpu_service.tasks.registry import TASKS

KINDS: tuple[Kind, ...] = ("text", "image")

State = Literal["loaded", "loading", "failed", "unloaded"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Models in memory for the instances of a request: the `named` one for all, else a default for each kind."""

    models: Sequence[Model]
    named: Model | None

    def of(self, kind: Kind) -> Model:
        """Raises ModelNotFound."""
        if self.named is not None:
            return self.named
        chosen = next((model for model in self.models if model.task.kind == kind), None)
        if chosen is None:
            raise ModelNotFound(f"No model for {_tasks(kind)[0]} is served.")
        return chosen


@dataclass(frozen=True, slots=True)
class EntryStatus:
    """An entry of models.json, and what became of it."""

    entry: Entry
    state: State
    is_default: bool
    resident: Resident | None
    error: str | None


class Catalog:
    """`registry` is what is served, `latest` what models.json says; they differ until new models have worked."""

    def __init__(self, registry: Registry, residents: Residents) -> None:
        self.registry = self.latest = registry
        self.residents = residents
        residents.keep(registry.entries)

    def select(self, name: str | None, version: str | int | None = None) -> Entry | None:
        """The named model; None without a name, when each instance goes to its kind's default.

        Raises:
            ModelNotFound
            InvalidRequest: `invalid_parameters`, for a version without a name.
        """
        if name is None and version is not None:
            raise InvalidRequest("version requires a model.", "invalid_parameters")
        return None if name is None else self.find(name, version)

    def find(self, name: str, version: str | int | None = None) -> Entry:
        """Raises ModelNotFound."""
        return self.registry.find(name, None if version is None else str(version))

    def default(self, kind: Kind) -> Entry | None:
        """The default model of the first task in TASKS that reads the kind."""
        served = {entry.task for entry in self.registry.entries}
        task = next((name for name in _tasks(kind) if name in served), None)
        return self.registry.default(task) if task else None

    def defaults(self, kinds: Collection[Kind] = KINDS) -> list[Entry]:
        """The default model of each kind that a model reads."""
        return [entry for kind in KINDS if kind in kinds and (entry := self.default(kind))]

    @asynccontextmanager
    async def lent(
        self, entry: Entry | None, kinds: Collection[Kind] = KINDS, instances: int = 0
    ) -> AsyncIterator[Choice]:
        """Keeps the models that a request needs in memory: the named one, or the defaults of these kinds.

        Raises:
            ModelUnavailable, Overloaded: as `Residents.lent` does.
        """
        entries = [entry] if entry else self.defaults(kinds) or [self.registry.entries[0]]
        async with self.residents.lent(entries, instances) as models:
            yield Choice(models, models[0] if entry else None)

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(entry.name for entry in self.registry.entries))

    def versions(self, name: str) -> list[str]:
        return [entry.version for entry in self.registry.entries if entry.name == name]

    @property
    def models(self) -> dict[str, Model]:
        """Those in memory, by `name@version`."""
        loaded = [(entry.key, self.residents.models.get(entry.weights)) for entry in self.registry.entries]
        return {key: resident.model for key, resident in loaded if resident}

    def renew(self, latest: Registry) -> None:
        """Takes over a newer models.json; what it changes for requests, once the models for that have worked.

        Those are loaded in the background. Lazy models are available immediately.
        """
        self.latest = latest
        self._update()
        for entry in self.latest.entries:
            if entry.weights not in self.residents.proven and self._needs_proof(entry):
                try:
                    self.residents.load(entry).add_done_callback(lambda _: self._update())
                except ModelUnavailable:  # failed lately
                    continue

    def _update(self) -> None:
        unproven = [entry for entry in self.latest.entries if entry.weights not in self.residents.proven]
        unready = [entry for entry in unproven if self._needs_proof(entry)]
        self.registry = self.latest.succeeding(self.registry, {entry.weights for entry in unready})
        self.residents.keep([*self.registry.entries, *unready])

    def _needs_proof(self, entry: Entry) -> bool:
        """Whether requests that another model answers now would go to this one."""
        served = {each.key: each for each in self.registry.entries}
        if self.latest.loads_at_start(entry):
            return True
        if entry.key in served and served[entry.key].weights != entry.weights:
            return True
        is_chosen = self.latest.find(entry.name, None) is entry
        return is_chosen and entry.key not in served and entry.name in self.names

    def statuses(self) -> list[EntryStatus]:
        """What is served, then the entries of models.json that are not ready to take its place."""
        served = {entry.weights for entry in self.registry.entries}
        waiting = [entry for entry in self.latest.entries if entry.weights not in served]
        return [self.status(entry) for entry in (*self.registry.entries, *waiting)]

    def status(self, entry: Entry) -> EntryStatus:
        resident = self.residents.models.get(entry.weights)
        failure = self.residents.failures.get(entry.weights)
        state: State = "loaded" if resident else "failed" if failure else "unloaded"
        if self.residents.is_loading(entry):
            state = "loading"
        is_default = any(each is entry and self.registry.is_default(each) for each in self.registry.entries)
        return EntryStatus(entry, state, is_default, resident, failure.message if failure else None)


def _tasks(kind: Kind) -> list[str]:
    return [name for name, task in TASKS.items() if task.kind == kind]
