"""Finds a served model by its name and version, or by the kind of an instance."""

from collections.abc import Mapping

from gpu_service.checkpoints.registry import Entry, Registry
from gpu_service.errors import InvalidRequest
from gpu_service.inputs.instances import Kind
from gpu_service.serving.model import Model
from gpu_service.tasks.registry import TASKS


class Catalog:
    """The served models, keyed by `name@version`."""

    def __init__(self, registry: Registry, models: Mapping[str, Model]) -> None:
        self.registry = registry
        self.models = models

    def select(self, name: str | None, version: str | int | None = None) -> Model | None:
        """The named model; None without a name, when each instance goes to its kind's default.

        Raises:
            ModelNotFound
            InvalidRequest: `invalid_parameters`, for a version without a name.
        """
        if name is None and version is not None:
            raise InvalidRequest("version requires a model.", "invalid_parameters")
        return None if name is None else self.find(name, version)

    def find(self, name: str, version: str | int | None = None) -> Model:
        """Raises ModelNotFound."""
        return self._served(self.registry.find(name, None if version is None else str(version)))

    def default(self, kind: Kind) -> Model:
        """The default model of the first task in TASKS that reads the kind. Raises ModelNotFound."""
        tasks = [name for name, task in TASKS.items() if task.kind == kind]
        served = {entry.task for entry in self.registry.entries}
        return self._served(self.registry.default(next((name for name in tasks if name in served), tasks[0])))

    @property
    def defaults(self) -> list[Model]:
        """The default model of each kind of instance that a model reads."""
        kinds = dict.fromkeys(model.task.kind for model in self.models.values())
        return [self.default(kind) for kind in sorted(kinds, reverse=True)]

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(entry.name for entry in self.registry.entries))

    def versions(self, name: str) -> list[str]:
        return [entry.version for entry in self.registry.entries if entry.name == name]

    def first(self) -> Model:
        """What a response names when no model ran."""
        return next(iter(self.models.values()))

    def is_default(self, model: Model) -> bool:
        return self.registry.default(model.entry.task) is model.entry

    def _served(self, entry: Entry) -> Model:
        return self.models[f"{entry.name}@{entry.version}"]
