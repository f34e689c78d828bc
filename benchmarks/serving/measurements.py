"""What a run of the serving benchmark measures: per server, per model and in all."""

from dataclasses import dataclass, field
from typing import Any

from benchmarks.serving.ceilings import Ceiling
from benchmarks.serving.load import Summary


@dataclass
class ServerMeasurements:
    """One server on one model; `error` says why figures are missing. Cells are keyed by the number of clients."""

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
class ModelMeasurements:
    """All servers on one model, and the ceilings before and after them."""

    model: str
    ceilings: list[dict[str, Ceiling]]
    results: list[ServerMeasurements]


@dataclass
class Measurements:
    """The machine, the settings, the load generator's own rate by number of clients, and each model."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    generator: dict[int, float]
    runs: list[ModelMeasurements]
