"""A deployment's traffic, measured on the documents that it wrote."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from event_inference.cost.scenario import MONTH, SINGLE, Traffic

KINDS = ("text", "image")  # of inputs that are predicted on one by one
STEP_USD = 0.01e-3  # in documents, a step of the workflow


@dataclass(frozen=True, slots=True)
class Measurement:
    """Traffic per month as it was in a period, and the number of inputs that say so.

    `together` is the part of texts and images that shared an execution, `batch_records` the mean size of batches.
    """

    traffic: Traffic
    seen: int
    together: float = 0.0
    batch_records: float = 0.0


def measure(documents: Iterable[Mapping[str, Any]], seconds: float) -> Measurement:
    """The traffic of the documents of any status that were finished within a period of so many seconds.

    Texts and images count as single inputs. Tables, records and manifests are batches, each of which keeps one device
    busy for as long as its document says; forecasts use no device.
    """
    busy: list[float] = []
    responses: list[float] = []
    batches: list[float] = []
    records: list[int] = []
    seen = together = 0
    for document in documents:
        seen += 1
        device = float(document.get("cost", {}).get("device", {}).get("seconds") or 0)
        timing = document.get("timing", {})
        if document.get("kind") in KINDS and device:
            busy.append(device)
            together += shares_execution(document)
            responses.append(((timing.get("queue_ms") or 0) + (timing.get("inference_ms") or 0)) / 1000)
        elif device:
            batches.append(device)
            records.append((document.get("data") or {}).get("records") or 0)
    per_month = MONTH / seconds
    traffic = Traffic(inputs=(seen - len(batches)) * per_month, batches=len(batches) * per_month)
    if busy:
        each, response = statistics.fmean(busy), statistics.fmean(responses)
        traffic = replace(traffic, gpu_base=0.0, gpu_each=each, response=response)
    if batches:
        traffic = replace(traffic, batch_seconds=statistics.fmean(batches))
    return Measurement(
        traffic,
        seen,
        together=together / len(busy) if busy else 0.0,
        batch_records=statistics.fmean(records) if records else 0.0,
    )


def shares_execution(document: Mapping[str, Any]) -> bool:
    """Whether the input's part of the workflow's steps is less than the fewest that an execution takes."""
    steps = document.get("cost", {}).get("total", {}).get("parts", {}).get("workflow_steps")
    return steps is not None and steps < 0.99 * SINGLE.steps * STEP_USD
