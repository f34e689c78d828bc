"""A deployment's figures of cost, measured on the documents that it wrote, by the names that dashboards have."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from event_inference.cost.amounts import device_second
from event_inference.cost.bill import Band
from event_inference.cost.measured import KINDS, STEP_USD, shares_execution
from event_inference.cost.prices import Prices
from event_inference.cost.scenario import SINGLE, Settings

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a period. Amounts of `usd` are estimates at list prices, the lowest where no source states one.

    Attributes:
        inputs, inferences: documents, and predictions in them.
        gpu_seconds: for which a device computed.
        instance_seconds: for which an instance of the service existed to do so, if it scales to zero: the upper bound
            of what Cloud Run bills.
        instances: on average over the period.
        utilization: the part of the instances' time in which a device computed.
        idle_usd: the price of the rest.
        usd: of all inputs, idle time included.
        usd_per_inference, usd_per_1000_inputs: of that.
        batching_saves_usd: the steps that inputs saved by sharing an execution.
    """

    inputs: int
    inferences: int
    gpu_seconds: float
    instance_seconds: float
    instances: float
    utilization: float
    idle_usd: float
    usd: float
    usd_per_inference: float | None
    usd_per_1000_inputs: float | None
    batching_saves_usd: float


NAMES = tuple(field.name for field in fields(Figures))


def figures(documents: Iterable[Document], seconds: float, settings: Settings, prices: Prices) -> Figures:
    """The figures of the documents of any status of a period of so many seconds."""
    found = list(documents)
    used = sum(map(_device_seconds, found))
    existed = min(seconds * settings.max_instances, _instance_seconds(found, settings)) if found else 0.0
    existed = max(existed, used, settings.min_instances * seconds)
    idle = (existed - used) * float(device_second(settings, prices).low)
    total = sum(map(_usd, found)) + idle
    inferences = sum(map(_inferences, found))
    return Figures(
        inputs=len(found),
        inferences=inferences,
        gpu_seconds=used,
        instance_seconds=existed,
        instances=existed / seconds,
        utilization=used / existed if existed else 0.0,
        idle_usd=idle,
        usd=total,
        usd_per_inference=total / inferences if inferences else None,
        usd_per_1000_inputs=1000 * total / len(found) if found else None,
        batching_saves_usd=sum(map(_saved, found)),
    )


def band(found: Figures, documents: Iterable[Document], settings: Settings, prices: Prices) -> Band:
    """The bounds of the `usd` of the figures of these documents."""
    second = device_second(settings, prices)
    idle = Decimal(repr(found.instance_seconds - found.gpu_seconds))
    bands = [total["band"] for document in documents if "band" in (total := document.get("cost", {}).get("total", {}))]
    more = idle * (second.high - second.low) + sum(
        (Decimal(repr(each["high"])) - Decimal(repr(each["low"])) for each in bands), Decimal(0)
    )
    reasons = dict.fromkeys((*(second.reasons if idle else ()), *(why for each in bands for why in each["reasons"])))
    usd = Decimal(repr(found.usd))
    return Band(usd, usd + more, tuple(reasons))


def by_model(documents: Iterable[Document]) -> dict[tuple[str, str], dict[str, float]]:
    """Inputs, inferences, GPU seconds and cost by model and version, without idle time, which belongs to no model."""
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for document in documents:
        model = document.get("model") or {}
        if not model.get("name"):
            continue
        row = found[str(model["name"]), str(model.get("version") or "")]
        row["inputs"] += 1
        row["inferences"] += _inferences(document)
        row["gpu_seconds"] += _device_seconds(document)
        row["usd"] += _usd(document)
    for row in found.values():
        row["usd_per_inference"] = row["usd"] / row["inferences"] if row["inferences"] else 0.0
        row["usd_per_1000_inputs"] = 1000 * row["usd"] / row["inputs"]
    return {key: dict(row) for key, row in sorted(found.items())}


def _instance_seconds(documents: Iterable[Document], settings: Settings) -> float:
    """The time of one instance that starts with an input and ends `idle` after the last one."""
    seconds = gone = 0.0
    for begun, ended in sorted(_spans(documents)):
        if settings.is_billed_by_request:
            seconds += max(0.0, ended - max(begun, gone))
            gone = max(gone, ended)
            continue
        until = ended + settings.idle
        seconds += until - max(gone, begun) if until > gone else 0.0
        gone = max(gone, until)
    return seconds


def _spans(documents: Iterable[Document]) -> Iterator[tuple[float, float]]:
    for document in documents:
        timing = document.get("timing", {})
        if _device_seconds(document) and timing.get("started_at") and timing.get("finished_at"):
            begun, ended = (datetime.fromisoformat(timing[key]) for key in ("started_at", "finished_at"))
            yield begun.timestamp(), ended.timestamp()


def _device_seconds(document: Document) -> float:
    return float(document.get("cost", {}).get("device", {}).get("seconds") or 0)


def _usd(document: Document) -> float:
    return float(document.get("cost", {}).get("total", {}).get("usd") or 0)


def _inferences(document: Document) -> int:
    if data := document.get("data"):
        return int(data.get("succeeded") or 0)
    return sum("error" not in prediction for prediction in document.get("predictions") or ())


def _saved(document: Document) -> float:
    """The steps of an execution of its own, less its part of those of the one that it shared."""
    if document.get("kind") not in KINDS or not shares_execution(document):
        return 0.0
    return SINGLE.steps * STEP_USD - float(document["cost"]["total"]["parts"]["workflow_steps"])
