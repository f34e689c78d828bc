"""Predictions of a model without the service around it."""

from collections.abc import Sequence
from typing import Any

from gpu_service.errors import InstanceError
from gpu_service.parameters import parse
from gpu_service.serving.model import Model


def together(model: Model, values: Sequence[Any], **parameters: Any) -> list[Any]:
    """The predictions or errors of all values, which run in one batch."""
    chosen = model.effective(parse(parameters))
    payloads = model.task.payloads(values, [chosen] * len(values))
    parts = [[] if isinstance(each, InstanceError) else list(each.parts or [each]) for each in payloads]
    data = [part.data for of_one in parts for part in of_one]
    rows = iter(model.launch(data, [chosen] * len(data)).rows())
    return [
        payload
        if isinstance(payload, InstanceError)
        else model.task.predict([next(rows) for _ in of_one], payload, chosen)
        for payload, of_one in zip(payloads, parts, strict=True)
    ]
