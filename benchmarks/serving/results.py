"""What a run measures: figures of each server on each model, and where and when."""

from dataclasses import dataclass, field
from typing import Any

from benchmarks.serving.ceilings import Ceiling
from benchmarks.serving.load import Summary


@dataclass
class Result:
    """One server on one model; `error` says why there are no figures. Cells are keyed by the number of clients."""

    server: str
    note: str = ""
    error: str | None = None
    ready_seconds: float | None = None
    cells: dict[int, Summary] = field(default_factory=dict)
    open_loop: Summary | None = None

    @property
    def capacity(self) -> float:
        return max((cell["per_second"] for cell in self.cells.values()), default=0.0)


@dataclass
class ModelRun:
    """Everything measured on one model."""

    model: str
    ceilings: list[dict[str, Ceiling]]
    results: list[Result]


@dataclass
class Measurements:
    """The machine, the settings, what the load generator alone can do, and the figures of each model."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    generator: dict[int, float]
    runs: list[ModelRun]
