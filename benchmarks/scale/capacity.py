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
from event_inference.cost import bill, prices, scenario
from event_inference.cost.amounts import METERED
from event_inference.cost.scenario import Effort
from pipeline.jobs import quotas

LIMITS = Path(__file__).parent / "limits.yaml"
HOUR = 3600
MICRO_BATCH = 1000  # inputs, the default of MICRO_BATCH_SIZE
THREADS = 8  # with which a collection takes uploads in, and postprocess concludes a micro-batch
READERS = 4  # threads with which preprocess reads the inputs of a micro-batch


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
    of_way = _collected(system) if is_collected(system["settings"]) else _single(system)
    rates = {**of_way, **_both(system, waits_by_claim(system["settings"]))}
    words = limits()["bounds"]
    found = [Bound(part.partition(",")[0], rate, **words[part]) for part, rate in rates.items()]
    return sorted(found, key=lambda bound: bound.per_second)


def is_collected(settings: Mapping[str, Any]) -> bool:
    """Whether a flood is collected: all inputs are, or those beyond a part of the hour's executions."""
    return bool(settings["micro_batching"] or settings["max_executions_per_hour"])


def waits_by_claim(settings: Mapping[str, Any]) -> bool:
    """Whether inputs that are collected have been claimed by on-upload before, and wait."""
    return is_collected(settings) and not settings["micro_batching"]


def own_executions(values: Mapping[str, Any]) -> float:
    """Texts and images per second up to which each has an execution of its own."""
    settings = inventory.settings({"project_id": "my-project", **values})
    if settings["micro_batching"]:
        return 0.0
    return float(settings["max_executions_per_hour"]) * quotas.OF_SHAREABLE / HOUR or math.inf


def hour(load: float, lowest: Bound) -> Hour:
    """An hour of `load` inputs per second against the lowest bound; what waits is started later, nothing is lost."""
    waiting = max(0.0, load - lowest.per_second) * HOUR
    return Hour(load, lowest, waiting, HOUR + waiting / lowest.per_second if waiting else HOUR)


def own_cost() -> float:
    """USD per million small texts with executions of their own, at list prices and without the GPU."""
    return _cost_per_million(scenario.SINGLE, scenario.Effort())


def shared_cost(values: Mapping[str, Any]) -> float:
    """The same where micro-batches share executions."""
    settings = inventory.settings({"project_id": "my-project", **values})
    return _cost_per_million(scenario.WAITED if waits_by_claim(settings) else scenario.COLLECTED, scenario.BATCH)


def _cost_per_million(each: Effort, shared: Effort) -> float:
    amounts = {
        resource: 1_000_000 * (getattr(each, name) + getattr(shared, name) / MICRO_BATCH)
        for resource, name in METERED.items()
    }
    return float(bill.bill(amounts, prices.published(), "us-central1").list_usd)


def _single(system: Inventory) -> dict[str, float]:
    """Inputs per second of each part where every input has an execution of its own."""
    service = system["gpu_service"]
    return {
        "Workflows' writes": _value("quotas", "workflow_writes"),
        "Workflows' executions": _value("quotas", "workflow_executions") / _value("times", "execution"),
        "on-upload": _own_events(system),
        "postprocess": _concurrent(system["functions"]["postprocess"]) / _value("times", "postprocess"),
        "requests to gpu-service": _concurrent(service) / _value("times", "gpu_call"),
    }


def _collected(system: Inventory) -> dict[str, float]:
    """The same where inputs share the executions of micro-batches, whose members are handled by several threads."""
    functions = system["functions"]
    taking_in = {} if system["settings"]["micro_batching"] else {"on-upload": _own_events(system)}
    return {
        **taking_in,
        "max_executions_per_hour": _cap(system) * MICRO_BATCH,
        "Workflows' writes": _value("quotas", "workflow_writes") * MICRO_BATCH,
        "collections": collections(system) * THREADS / _value("times", "collected"),
        "preprocess": _concurrent(functions["preprocess"]) * READERS / _value("times", "preprocess"),
        "postprocess": _concurrent(functions["postprocess"]) * THREADS / _value("times", "postprocess"),
    }


def collections(system: Inventory) -> float:
    """How many collections run at the same time."""
    most = float(inventory.environment(system, "on-message")["MAX_COLLECTIONS"])
    return min(most, _concurrent(system["functions"]["on-message"]))


def _own_events(system: Inventory) -> float:
    return _concurrent(system["functions"]["on-upload"]) / _value("times", "on_upload")


def _both(system: Inventory, waits: bool) -> dict[str, float]:
    writes = _value("quotas", "bucket_writes")
    work_writes = "work_writes_of_waiting" if waits else "work_writes"
    return {
        "the GPU": float(system["gpu_service"]["max_instances"]) / _value("times", "gpu_input"),
        "writes to the work bucket": writes / _value("requests", work_writes),
        "writes to the output bucket": writes / _value("requests", "output_writes"),
    }


def _value(section: str, name: str) -> float:
    return float(limits()[section][name]["value"])


def _concurrent(service: Mapping[str, Any]) -> float:
    """The requests that all instances handle at the same time."""
    return float(service["concurrency"]) * float(service["max_instances"])


def _cap(system: Inventory) -> float:
    return float(system["settings"]["max_executions_per_hour"]) / HOUR or math.inf
