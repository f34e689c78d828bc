"""The places, times and quotas of a deployment, from the inventory and limits.yaml."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.scale import capacity
from deploy import inventory
from pipeline import settings
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Function:
    """The calls that a function, the GPU service or the job handle at the same time, and how many instances do."""

    instances: int
    concurrency: int

    @property
    def places(self) -> int:
        return self.instances * self.concurrency


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is simulated; `settings` are those that the functions read from their environment."""

    settings: Settings
    functions: Mapping[str, Function]
    gpus: int
    event_backoff: tuple[float, float]
    event_attempts: int
    retries: int
    times: Mapping[str, float] = field(default_factory=lambda: _values("times"))
    quotas: Mapping[str, float] = field(default_factory=lambda: _values("quotas"))

    @property
    def event_patience(self) -> float:
        """Seconds after which an event that no instance has handled becomes a dead letter."""
        least, most = self.event_backoff
        return sum(itertools.islice(_doubling(least, most), self.event_attempts - 1))

    @property
    def call_patience(self) -> float:
        """Seconds for which the workflow repeats a call that is refused."""
        return sum(self.repeats())

    def repeats(self) -> list[float]:
        """The workflow's pauses between the attempts of a call, in seconds."""
        return list(itertools.islice(_doubling(1.0, 60.0), self.retries))


def of(
    values: Mapping[str, Any] | None = None, instances: Mapping[str, int] | None = None, **changed: Any
) -> Deployment:
    """The deployment with these variables.

    Args:
        instances: the functions' max_instances where they differ from the inventory's.
        changed: the functions' settings that differ, by their names in Settings.
    """
    system = inventory.load({"project_id": "my-project", **(values or {})})
    read = settings.load(inventory.environment(system, "on-message"), starts_executions=True)
    functions = {
        name: Function((instances or {}).get(name, entry["max_instances"]), entry["concurrency"])
        for name, entry in system["functions"].items()
    }
    push = system["push"]["on-message"]
    return Deployment(
        settings=replace(read, **changed),
        functions=functions,
        gpus=int(system["gpu_service"]["max_instances"]),
        event_backoff=(push["backoff"][0], push["backoff"][1]),
        event_attempts=push["attempts"],
        retries=int(system["workflow"]["env"]["MAX_RETRIES"]),
    )


def _values(section: str) -> dict[str, float]:
    return {name: float(entry["value"]) for name, entry in capacity.limits()[section].items()}


def _doubling(least: float, most: float) -> "itertools.accumulate[float]":
    return itertools.accumulate(itertools.repeat(least), lambda pause, _: min(2 * pause, most))
