"""The load that each part of a deployment takes, from its inventory and Google's quotas."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy import inventory
from deploy.inventory import Inventory
from event_inference.cost import prices, scenario

LIMITS = Path(__file__).parent / "limits.yaml"
HOUR = 3600
MICRO_BATCH = 200  # inputs, the default of MICRO_BATCH_SIZE
THREADS = 8  # with which a collection takes uploads in, and postprocess concludes a micro-batch


@dataclass(frozen=True, slots=True)
class Bound:
    """The most inputs per second that one part takes; `raised_by` is what moves it."""

    part: str
    per_second: float
    then: str
    raised_by: str


@dataclass(frozen=True, slots=True)
class Hour:
    """What happens to an hour of a constant load of small texts, in inputs and seconds."""

    load: float
    binding: Bound
    waiting: float
    drained: float


@functools.cache
def limits() -> Mapping[str, Any]:
    """The file of limits."""
    loaded: Mapping[str, Any] = yaml.safe_load(LIMITS.read_text(encoding="utf-8"))
    return loaded


def bounds(values: Mapping[str, Any]) -> list[Bound]:
    """The bounds of a deployment with these variables, the lowest first."""
    system = inventory.load({"project_id": "my-project", **values})
    of_way = _collected(system) if system["settings"]["micro_batching"] else _single(system)
    rates = {**of_way, **_both(system)}
    words = limits()["bounds"]
    found = [Bound(part.partition(",")[0], rate, **words[part]) for part, rate in rates.items()]
    return sorted(found, key=lambda bound: bound.per_second)


def hour(load: float, lowest: Bound) -> Hour:
    """An hour of `load` inputs per second against the lowest bound; what waits is started later, nothing is lost."""
    waiting = max(0.0, load - lowest.per_second) * HOUR
    return Hour(load, lowest, waiting, HOUR + waiting / lowest.per_second if waiting else HOUR)


def cost_per_million(values: Mapping[str, Any]) -> float:
    """USD per million small texts at list prices, without the GPU."""
    together = bool(values.get("micro_batching"))
    traffic = scenario.Traffic(inputs=1_000_000)
    settings = scenario.Settings(gpu="none", collect_every=60 if together else 0)
    outside = set(scenario.METERED)
    lines = scenario.monthly_bill(traffic, settings, prices.published()).lines
    return float(sum(line.list_usd for line in lines if line.resource in outside and line.list_usd is not None))


def _single(system: Inventory) -> dict[str, float]:
    """Inputs per second of each part where every input has an execution of its own."""
    service = system["gpu_service"]
    return {
        "max_executions_per_hour": _cap(system),
        "Workflows' writes": _value("quotas", "workflow_writes"),
        "Workflows' executions": _value("quotas", "workflow_executions") / _value("times", "execution"),
        "on-upload": _concurrent(system["functions"]["on-upload"]) / _value("times", "on_upload"),
        "postprocess": _concurrent(system["functions"]["postprocess"]) / _value("times", "postprocess"),
        "requests to gpu-service": _concurrent(service) / _value("times", "gpu_call"),
    }


def _collected(system: Inventory) -> dict[str, float]:
    """The same where inputs share the executions of micro-batches, whose members are handled by several threads."""
    functions = system["functions"]
    return {
        "max_executions_per_hour, collected": _cap(system) * MICRO_BATCH,
        "Workflows' writes": _value("quotas", "workflow_writes") * MICRO_BATCH,
        "on-message": _concurrent(functions["on-message"]) * THREADS / _value("times", "collected"),
        "postprocess": _concurrent(functions["postprocess"]) * THREADS / _value("times", "postprocess"),
    }


def _both(system: Inventory) -> dict[str, float]:
    writes = _value("quotas", "bucket_writes")
    return {
        "the GPU": float(system["gpu_service"]["max_instances"]) / _value("times", "gpu_input"),
        "writes to the work bucket": writes / _value("requests", "work_writes"),
        "writes to the output bucket": writes / _value("requests", "output_writes"),
    }


def _value(section: str, name: str) -> float:
    return float(limits()[section][name]["value"])


def _concurrent(service: Mapping[str, Any]) -> float:
    """The requests that all instances handle at the same time."""
    return float(service["concurrency"]) * float(service["max_instances"])


def _cap(system: Inventory) -> float:
    return float(system["settings"]["max_executions_per_hour"]) / HOUR or math.inf
